"""Noise-conditioning augmentation: noise on the image that an upsampler enlarges.

It makes an upsampler robust to the errors of the model before it (Ho et al. 2021, sec. 4); the
level is what the upsampler may be conditioned on (Saharia et al. 2022, sec. 2.4). GLIDE and ADM
enlarge the image after the noise, Imagen and DeepFloyd IF before.
"""

from collections.abc import Callable

import jax.numpy as jnp

from glide_jax.diffusion.gaussian import q_sample
from glide_jax.diffusion.schedule import make_schedule, squared_cosine_betas
from glide_jax.types import Array

NUM_STEPS = 1000
"""Of the schedule of `diffused`."""

NoiseOf = Callable[[tuple[int, ...]], Array]
"""(h, w, c) → standard normal f32[b h w c], each image's own."""


def augmented(
    low_res: Array, level: Array, noise_of: NoiseOf, enlarge: Callable[[Array], Array] | None
) -> tuple[Array, Array]:
    """The low_res and the aug_level of a Condition.

    Args:
        low_res: f32[b h w c] in [-1, 1].
        level: f32[b], each image's.
        noise_of: gives the noise.
        enlarge: as in `Model`; None: `additive`, else `diffused`.

    Returns:
        f32[b h w c], enlarged if there is an `enlarge`; and f32[b].
    """
    if enlarge is None:
        return additive(low_res, level, noise_of(low_res.shape[1:])), level
    image = enlarge(low_res)
    t = augmentation_step(level)
    noised = diffused(image, t, noise_of(image.shape[1:]))
    return noised, t.astype(jnp.float32) / NUM_STEPS


def additive(low_res: Array, level: Array, noise: Array) -> Array:
    """low_res + level · noise.

    Args:
        low_res: f32[b h w c].
        level: f32[b] ≥ 0, the noise's standard deviation.
        noise: f32[b h w c], standard normal.

    Returns:
        f32[b h w c].
    """
    return low_res + level[:, None, None, None] * noise


def diffused(image: Array, t: Array, noise: Array) -> Array:
    """x_t of an enlarged image, on the squared cosine schedule of 1000 steps.

    Saharia et al. 2022, sec. 2.4 and app. A.1, in the discrete time of DeepFloyd IF.

    Args:
        image: f32[b h w c] in [-1, 1].
        t: i32[b] in [0, 999]; also t = 0 adds a little noise.
        noise: f32[b h w c], standard normal.

    Returns:
        f32[b h w c].
    """
    return q_sample(make_schedule(squared_cosine_betas(NUM_STEPS)), t, image, noise)


def augmentation_step(level: Array) -> Array:
    """t of a level, f32[b] in [0, 1] → i32[b]: ⌊1000 · level⌋, at most 999.

    A level of so many thousandths is exactly that step, however float32 rounds it.
    """
    step = jnp.floor(NUM_STEPS * jnp.asarray(level, jnp.float32) + 1e-3)
    return jnp.clip(step, 0, NUM_STEPS - 1).astype(jnp.int32)
