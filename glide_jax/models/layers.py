"""The small layers: what PyTorch calls Linear, Conv2d, GroupNorm, LayerNorm, at its epsilons.

Weights are float32. Matrix products and convolutions run in the module's dtype; norms in
float32 whatever the dtype.
"""

import math
from collections.abc import Iterable
from typing import Any

import einops
import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.models import kernels
from glide_jax.types import Array

NORM_EPSILON = 1e-5

# Uniform in ±1/sqrt(fan_in), the initialisation the published models were trained from.
_fan_in_uniform = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def linear(width_in: int, width_out: int, dtype: jnp.dtype, rngs: nnx.Rngs, *, zero=False):
    """A dense layer; `zero` initialises it to zero, so that a residual block starts as x."""
    init = nnx.initializers.zeros if zero else _fan_in_uniform
    return nnx.Linear(width_in, width_out, dtype=dtype, kernel_init=init, rngs=rngs)


def conv(
    width_in: int,
    width_out: int,
    size: int,
    dtype: jnp.dtype,
    rngs: nnx.Rngs,
    *,
    stride: int = 1,
    zero: bool = False,
):
    """A size×size convolution over [b h w c] that keeps h and w, or divides them by `stride`."""
    return nnx.Conv(
        width_in,
        width_out,
        kernel_size=(size, size),
        strides=stride,
        padding=size // 2,
        dtype=dtype,
        conv_general_dilated=_CONVOLUTIONS.get((size, stride), jax.lax.conv_general_dilated),
        kernel_init=nnx.initializers.zeros if zero else _fan_in_uniform,
        rngs=rngs,
    )


_CONVOLUTIONS = {(1, 1): kernels.pointwise_convolution, (3, 1): kernels.convolution}
"""(size, stride) → what computes it; the others are XLA's everywhere."""


def module_list(modules: Iterable[nnx.Module]) -> Any:
    """Modules in a module, whose weights are named by their index."""
    # Before Flax 0.12, whose first version has nnx.List, a plain list does it.
    return nnx.List(modules) if hasattr(nnx, "List") else list(modules)


class GroupNorm(nnx.Module):
    """Group normalisation over [b … c] (Wu & He 2018), in float32."""

    def __init__(self, width: int, num_groups: int):
        self.num_groups = num_groups
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(self, x: Array) -> Array:
        """x: [b … c] → the same shape and dtype."""
        flat = x.astype(jnp.float32).reshape(x.shape[0], -1, x.shape[-1])
        width = x.shape[-1]
        mean = kernels.repeat_groups(_mean_by_group(flat, self.num_groups), width)
        variance = _mean_by_group(jnp.square(flat - mean[:, None]), self.num_groups)
        inverse_std = jax.lax.rsqrt(variance + NORM_EPSILON)
        # One multiply-add per element: the group's figures are folded into the channel's first.
        scale = kernels.repeat_groups(inverse_std, width) * self.scale[...][None]
        shift = self.bias[...][None] - mean * scale
        return (flat * scale[:, None] + shift[:, None]).reshape(x.shape).astype(x.dtype)


def _mean_by_group(x: Array, num_groups: int) -> Array:
    """f32[b n c] → f32[b g]: over n, and over the channels of each group.

    Over n first: the long reduction then keeps the channels last, as they are in memory.
    """
    return x.mean(1).reshape(x.shape[0], num_groups, -1).mean(-1)


class LayerNorm(nnx.Module):
    """Layer normalisation over the last axis (Ba et al. 2016), in float32."""

    def __init__(self, width: int):
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(self, x: Array) -> Array:
        """x: [b l c] → the same shape and dtype."""
        h = x.astype(jnp.float32)
        mean = h.mean(-1, keepdims=True)
        variance = jnp.square(h - mean).mean(-1, keepdims=True)
        normed = (h - mean) * jax.lax.rsqrt(variance + NORM_EPSILON)
        scale, bias = self.scale[...][None, None], self.bias[...][None, None]
        return (normed * scale + bias).astype(x.dtype)


def dropout(x: Array, rate: float, keys: Array | None) -> Array:
    """Zero a `rate` of x's elements and scale up the rest (Srivastava 2014).

    Args:
        x: [b …].
        rate: in [0, 1).
        keys: key[b], each image's own; None: nothing is dropped.
    """
    if keys is None or rate == 0:
        return x
    keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate, x.shape[1:]))(keys)
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))


def timestep_embedding(t: Array, width: int) -> Array:
    """Sinusoids of the timestep, periods 2π to 20,000π (Vaswani et al. 2017, sec. 3.5).

    Args:
        t: i32[b] or f32[b], index into the original schedule.
        width: channels of the result, even.

    Returns:
        f32[b width]: cosines, then sines.
    """
    return sinusoids(t.astype(jnp.float32), width, longest=10_000.0)


def sinusoids(x: Array, width: int, longest: float) -> Array:
    """Cosines, then sines, of f32[n], of periods 2π to almost 2π·longest: f32[n width]."""
    half = width // 2
    frequencies = jnp.exp(-math.log(longest) * jnp.arange(half, dtype=jnp.float32) / half)
    angles = x[:, None] * frequencies[None]
    return jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def upsample_nearest(x: Array) -> Array:
    """[b h w c] → [b 2h 2w c], each pixel four times."""
    return einops.repeat(x, "b h w c -> b (h i) (w j) c", i=2, j=2)


def downsample_mean(x: Array) -> Array:
    """[b h w c] → [b h/2 w/2 c], each the mean of four pixels."""
    return einops.reduce(x, "b (h i) (w j) c -> b h w c", "mean", i=2, j=2)
