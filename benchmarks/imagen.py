"""One guided call of a DeepFloyd IF U-Net, here and by its reference in PyTorch, in turn.

    pip install --no-deps deepfloyd_if==1.0.1        (and PyTorch)
    python benchmarks/imagen.py [--model=if-ii-l] [--turns=3]

A guided call is a batch of two: the caption's and the null caption's. Weights are random, float32;
on a CPU each has all cores. What is the same at every step is computed before and not timed, there
by `use_cache`. Prints the seconds of each turn, and the median ratio, theirs / ours.
"""

import importlib.util
import math
import statistics
import sys
import time
import types
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.interop import released
from glide_jax.interop.families import imagen
from glide_jax.types import Condition

ROWS, TOKENS = 2, 77


def main(argv: Sequence[str]) -> None:
    """Print what the docstring above says."""
    flags = dict(word[2:].partition("=")[::2] for word in argv if word.startswith("--"))
    name, turns = flags.pop("model", "if-ii-l"), int(flags.pop("turns", 3))
    sized = [n for n, file in released.HELD.items() if "model_channels" in file.options]
    if flags or len(argv) > 2 or name not in sized:
        sys.exit(__doc__)
    options = dict(released.HELD[name].options)
    calls = {"theirs": theirs(options), "ours": ours(options)}
    for call in calls.values():
        call()  # compiled, and its memory touched
    seconds: dict[str, list[float]] = {side: [] for side in calls}
    for turn in range(turns):
        for side, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[side].append(time.perf_counter() - start)
        shown = ", ".join(f"{side} {times[-1]:.2f} s" for side, times in seconds.items())
        print(f"{name}, turn {turn + 1}: {shown}", flush=True)
    ratios = [a / b for a, b in zip(seconds["theirs"], seconds["ours"], strict=True)]
    print(f"{name}: theirs / ours {statistics.median(ratios):.2f}")


def ours(options: dict[str, Any]) -> Callable[[], object]:
    """A call of our model."""
    model = imagen.build({}, options)
    rng = np.random.default_rng(0)
    params = {path: _random(path, leaf.shape, rng) for path, leaf in model.shapes.items()}
    size, width = model.config.image_size, options["encoder_dim"]
    low_res = jnp.zeros((ROWS, size, size, 3)) if model.config.low_res_size else None
    condition = Condition(
        text_embedding=jnp.asarray(rng.standard_normal((ROWS, TOKENS, width)), jnp.float32),
        low_res=low_res,
        aug_level=jnp.full(ROWS, 0.25),
    )
    x_t = jnp.asarray(rng.standard_normal((ROWS, size, size, 3)), jnp.float32)
    t = jnp.full(ROWS, 500, jnp.int32)
    encoded = jax.jit(model.encode)(params, condition)
    params |= model.prepare(params, x_t, t, encoded)
    apply = jax.jit(model.apply)
    return lambda: apply(params, x_t, t, encoded).block_until_ready()


def theirs(options: dict[str, Any]) -> Callable[[], object]:
    """A call of the reference's model."""
    spec = importlib.util.find_spec("deepfloyd_if")
    if spec is None or spec.submodule_search_locations is None:
        sys.exit("pip install --no-deps deepfloyd_if==1.0.1")
    # Its U-Net alone: the package itself imports pipelines that need much more.
    package = types.ModuleType("deepfloyd_if")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["deepfloyd_if"] = package
    import torch
    from deepfloyd_if.model.unet import UNetModel

    model: Any = UNetModel(**options).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    size, channels = options["image_size"], options["in_channels"]
    x_t = torch.randn(ROWS, channels, size, size)
    text = torch.randn(ROWS, TOKENS, options["encoder_dim"])
    t = torch.full((ROWS,), 500.0)
    level = torch.randn(ROWS, model.time_embed_dim) if channels > 3 else None

    def call() -> object:
        with torch.no_grad():
            return model(x_t, t, text, aug_emb=level, use_cache=True)

    return call


def _random(path: str, shape: tuple[int, ...], rng: np.random.Generator) -> jax.Array:
    scale = 0.5 / math.sqrt(max(math.prod(shape[:-1]), 1))
    noise = rng.standard_normal(shape, np.float32) * np.float32(scale)
    return jnp.asarray(1 + noise if path.endswith("scale") else noise)


if __name__ == "__main__":
    main(sys.argv[1:])
