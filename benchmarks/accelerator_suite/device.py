"""The device: what it is, what its matrix product does, which attention kernels are compiled."""

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from accelerator_suite import models
from glide_jax.models import kernels
from glide_jax.planning import cost
from glide_jax.types import Condition


def run(out: Path, *, smoke: bool) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of each result."""
    device = jax.local_devices()[0]
    yield "device", f"{jax.device_count()} × {device.device_kind} ({device.platform})"
    names = ("glide_jax", "jax", "jaxlib", "flax")
    yield "versions", ", ".join(f"{name} {_version(name)}" for name in names)
    for dtype in ("bfloat16", "float32"):
        yield f"TFLOP/s of a {dtype} product", cost.matmul_flops_per_second(dtype) / 1e12
    yield "cuDNN's flash attention is there", kernels.has_flash()
    yield "attention kernels", attention_kernels(smoke=smoke)


def attention_kernels(*, smoke: bool) -> str:
    """What attention became in the compiled base model: cuDNN's flash attention, or products."""
    job = models.base_job(smoke=smoke)
    model, length, size = job.model, job.experiment.text_length, job.model.config.image_size
    tokens, mask = jnp.zeros((2, length), jnp.int32), jnp.ones((2, length), bool)
    condition = Condition(tokens=tokens, mask=mask)
    x_t = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    t = jax.ShapeDtypeStruct((2,), jnp.int32)
    encoded = jax.eval_shape(model.encode, model.shapes, condition)
    text = jax.jit(model.apply).lower(model.shapes, x_t, t, encoded).compile().as_text() or ""
    flash = re.findall(r'custom_call_target="([^"]*fmha[^"]*)"', text)
    if flash:
        return f"{len(flash)} calls of {', '.join(sorted(set(flash)))}"
    return "no fused kernel: matrix products and a softmax, by XLA"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
