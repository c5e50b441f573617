"""Inpainting by what is known of x_0; samplers.repaint does it by what is known of x_t."""

from glide_jax.diffusion.guidance.on_x_0_hat import on_x_0_hat
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser


def keep_known(denoiser: Denoiser, schedule: Schedule, image: Array, mask: Array) -> Denoiser:
    """Inpainting: x_0_hat is the image itself where that is known; goes inside of thresholds.

    Args:
        denoiser: any.
        schedule: the one it was trained on, every step.
        image: f32[b h w c] in [-1, 1].
        mask: f32[b h w 1] in [0, 1], 1 where the pixel is KEPT.
    """
    # Not x_0_hat + mask (image - x_0_hat): a large x_0_hat would round the image away.
    return on_x_0_hat(denoiser, schedule, lambda x_0_hat: mask * image + (1 - mask) * x_0_hat)
