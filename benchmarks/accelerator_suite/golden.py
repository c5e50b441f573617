"""Errors of the small golden models of the public reference, in float32 and in bfloat16."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.models.glide import glide
from glide_jax.types import Condition

NAMES = ("tiny_base", "tiny_upsample", "tiny_base_inpaint")
TESTS = Path(__file__).parents[2] / "tests"


def run(out: Path, *, smoke: bool) -> Iterator[tuple[str, Any]]:
    """Yield (model, {dtype: largest error over the largest output}) of each golden model."""
    sys.path.insert(0, str(TESTS))
    for name in NAMES[:1] if smoke else NAMES:
        yield name, {dtype: error(name, dtype) for dtype in ("float32", "bfloat16")}


def error(name: str, dtype: str) -> float:
    """The largest difference from the reference's output, over its largest value.

    Args:
        name: of a golden model with one forward pass.
        dtype: that the model computes in.
    """
    from golden.load import HERE, load, nhwc

    _, _, model, params = load(name)
    golden = np.load(HERE / f"{name}.npz")
    length, channels = golden["tokens"].shape[1], golden["out"].shape[1]
    rebuilt = glide(
        dataclasses.replace(model.config, dtype=dtype),
        vocab_size=params["text.token_embedding"].shape[0],
        text_length=length,
        learn_variance=channels > 3,
    )
    images = ("low_res", "inpaint_image", "inpaint_mask")
    condition = Condition(
        tokens=jnp.asarray(golden["tokens"], jnp.int32),
        mask=jnp.asarray(golden["mask"]),
        **{key: nhwc(golden[key]) for key in images if key in golden},
    )
    t = jnp.asarray(golden["t"], jnp.int32)
    encoded = jax.jit(rebuilt.encode)(params, condition)
    found = jax.jit(rebuilt.apply)(params, nhwc(golden["x"]), t, encoded)
    expected = np.asarray(nhwc(golden["out"]))
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())
