"""The same sampling steps by the public PyTorch code in float16, where it is installed."""

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCHES = (1, 8, 32)
STEPS = 10
"""Of 100: a step costs the same, and the time is the step's times 100."""


def run(out: Path, *, smoke: bool) -> Iterator[tuple[str, Any]]:
    """Yield (batch, {figure: number}) of each batch, or why there are none."""
    missing = [n for n in ("torch", "glide_text2im") if importlib.util.find_spec(n) is None]
    if missing:
        yield "skipped", f"{' and '.join(missing)} can't be imported: ours alone"
        return
    import torch
    from glide_text2im.model_creation import (
        create_model_and_diffusion,
        model_and_diffusion_defaults,
    )

    if not torch.cuda.is_available():
        yield "skipped", "PyTorch sees no GPU, and has no float16 kernels for a CPU"
        return
    options = model_and_diffusion_defaults() | {"use_fp16": True}
    model, _ = create_model_and_diffusion(**options)
    model = model.eval().to("cuda")
    model.convert_to_fp16()
    yield "versions", f"torch {torch.__version__}, {torch.cuda.get_device_name()}"
    for batch in BATCHES:
        yield f"batch {batch}", of_batch(torch, model, batch)


def of_batch(torch: Any, model: Any, batch: int) -> dict[str, float]:
    """The figures of a batch: guided, so that the model sees each image twice."""
    tokens = torch.zeros(2 * batch, 128, dtype=torch.long, device="cuda")
    mask = torch.ones(2 * batch, 128, dtype=torch.bool, device="cuda")
    x_t = torch.randn(2 * batch, 3, 64, 64, device="cuda")
    t = torch.full((2 * batch,), 500, device="cuda")

    @torch.no_grad()
    def steps(count: int) -> float:
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(count):
            model(x_t, t, tokens=tokens, mask=mask)
        torch.cuda.synchronize()
        return time.perf_counter() - begun

    steps(2)
    seconds = steps(STEPS) / STEPS
    return {"ms an image": 1e5 * seconds / batch, "ms a step": 1e3 * seconds}
