"""Keeping x_0_hat where images are."""

import jax.numpy as jnp

from glide_jax.diffusion.guidance.on_x_0_hat import on_x_0_hat
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser


def thresholded(
    denoiser: Denoiser,
    schedule: Schedule,
    quantile: Array | float | None,
    cap: Array | float | None,
) -> Denoiser:
    """`dynamic_threshold` or, without a quantile, `clip_x_0`: as sampling's settings say it.

    Args:
        denoiser: any.
        schedule: the one it was trained on, every step.
        quantile: see `dynamic_threshold`; None: static thresholding.
        cap: see `dynamic_threshold`; None: there is none. Not read where quantile is None.
    """
    if quantile is None:
        return clip_x_0(denoiser, schedule)
    return dynamic_threshold(denoiser, schedule, quantile, jnp.inf if cap is None else cap)


def clip_x_0(denoiser: Denoiser, schedule: Schedule, limit: Array | float = 1.0) -> Denoiser:
    """Static thresholding: x_0_hat cut to [-limit, limit].

    Args:
        denoiser: any.
        schedule: the one it was trained on, every step.
        limit: f32[] > 0; images are in [-1, 1].
    """
    return on_x_0_hat(denoiser, schedule, lambda x_0_hat: jnp.clip(x_0_hat, -limit, limit))


def dynamic_threshold(
    denoiser: Denoiser, schedule: Schedule, quantile: Array | float, cap: Array | float = jnp.inf
) -> Denoiser:
    """x_0_hat cut to [-s, s] and divided by s (Saharia et al. 2022, Imagen, sec. 2.3).

    A cap, DeepFloyd IF's addition, keeps an image with few large values from turning grey.

    Args:
        denoiser: any.
        schedule: the one it was trained on, every step.
        quantile: f32[] in [0, 1]; s is this quantile of an image's |x_0_hat|, but at least 1.
        cap: f32[] ≥ 1; s is at most this. 1: `clip_x_0`.
    """

    def threshold(x_0_hat: Array) -> Array:
        axes = tuple(range(1, x_0_hat.ndim))
        s = jnp.quantile(jnp.abs(x_0_hat), quantile, axis=axes, keepdims=True)
        s = jnp.clip(s, 1.0, cap)
        return jnp.clip(x_0_hat, -s, s) / s

    return on_x_0_hat(denoiser, schedule, threshold)
