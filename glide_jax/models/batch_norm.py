"""Batch normalisation of trained networks, folded into the convolution before it."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx

from glide_jax.types import Array

EPSILON = 1e-3
"""TensorFlow's."""


class BatchNorm(nnx.Module):
    """Its weights, and the statistics of its training (Ioffe & Szegedy 2015)."""

    def __init__(self, width: int):
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))
        self.mean = nnx.Param(jnp.zeros(width))
        self.variance = nnx.Param(jnp.ones(width))


def folded(params: Mapping[str, Array | np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """A convolution and its normalisation as one convolution, by NumPy in float64:

        scale (k ∗ x − mean) / √(variance + ε) + bias = k' ∗ x + bias'

    Args:
        params: with `NAME.kernel`, f32[i j c o], and `NAME.norm`'s four weights.
        name: of the convolution.

    Returns:
        (k': f32[i j c o], bias': f32[o]).
    """
    scale, bias, mean, variance = (
        np.asarray(params[f"{name}.norm.{part}"], np.float64)
        for part in ("scale", "bias", "mean", "variance")
    )
    factor = scale / np.sqrt(variance + EPSILON)
    kernel = np.asarray(params[f"{name}.kernel"]) * factor[None, None, None]
    return kernel.astype(np.float32), (bias - mean * factor).astype(np.float32)
