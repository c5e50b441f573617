"""Denoiser → Denoiser: classifier-free guidance, thresholds, pixels that are known.

    model ─ denoiser_from ─ classifier_free ─ keep_known ─ clip_x_0 ─→ sample
            (batch 2b)      (batch b)         optional     or dynamic_threshold

A transform of x_0_hat hands on the changed one, and the eps that with x_t says the same. Pixels
that it leaves alone keep the model's own eps, bit for bit.

`schedule` is always the whole one that the model was trained on, since t counts its steps.
"""

from collections.abc import Callable

import jax.numpy as jnp

from glide_jax.diffusion.gaussian import eps_from_x_0, x_0_hat_of
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser, Prediction


def classifier_free(stacked: Denoiser, guidance_scale: Array | float) -> Denoiser:
    """eps = uncond + s (cond - uncond) (GLIDE, Nichol et al. 2021, sec. 2.3), in one call.

    Args:
        stacked: a Denoiser of batches 2b: b pictures with their condition, then the same b with
            the null condition.
        guidance_scale: s, f32[] or f32[b]; 1: the conditional alone, 0: the null alone.

    Returns:
        A Denoiser of batches b; its variance_fraction is the conditional half's.
    """

    def denoiser(x_t: Array, t: Array) -> Prediction:
        prediction = stacked(jnp.concatenate([x_t, x_t]), jnp.concatenate([t, t]))
        cond, uncond = jnp.split(prediction.eps, 2)
        scale = jnp.reshape(guidance_scale, (-1,) + (1,) * (x_t.ndim - 1))
        fraction = prediction.variance_fraction
        return Prediction(
            eps=uncond + scale * (cond - uncond),
            variance_fraction=None if fraction is None else fraction[: x_t.shape[0]],
        )

    return denoiser


def clip_x_0(denoiser: Denoiser, schedule: Schedule, limit: float = 1.0) -> Denoiser:
    """Static thresholding: x_0_hat cut to [-limit, limit].

    Args:
        denoiser: any.
        schedule: the one it was trained on, every step.
        limit: > 0; pictures are in [-1, 1].
    """
    return _on_x_0_hat(denoiser, schedule, lambda x_0_hat: jnp.clip(x_0_hat, -limit, limit))


def dynamic_threshold(denoiser: Denoiser, schedule: Schedule, quantile: float) -> Denoiser:
    """x_0_hat cut to [-s, s] and divided by s (Saharia et al. 2022, Imagen, sec. 2.3).

    Args:
        denoiser: any.
        schedule: the one it was trained on, every step.
        quantile: in [0, 1]; s is this quantile of a picture's |x_0_hat|, but at least 1.
    """

    def threshold(x_0_hat: Array) -> Array:
        axes = tuple(range(1, x_0_hat.ndim))
        s = jnp.quantile(jnp.abs(x_0_hat), quantile, axis=axes, keepdims=True)
        s = jnp.maximum(s, 1.0)
        return jnp.clip(x_0_hat, -s, s) / s

    return _on_x_0_hat(denoiser, schedule, threshold)


def keep_known(denoiser: Denoiser, schedule: Schedule, image: Array, mask: Array) -> Denoiser:
    """Inpainting: x_0_hat is the image itself where that is known; goes inside of thresholds.

    Args:
        denoiser: any.
        schedule: the one it was trained on, every step.
        image: f32[b h w c] in [-1, 1].
        mask: f32[b h w 1] in [0, 1], 1 where the pixel is KEPT.
    """
    # Not x_0_hat + mask (image - x_0_hat): a large x_0_hat would round the image away.
    return _on_x_0_hat(denoiser, schedule, lambda x_0_hat: mask * image + (1 - mask) * x_0_hat)


def _on_x_0_hat(
    denoiser: Denoiser, schedule: Schedule, change: Callable[[Array], Array]
) -> Denoiser:
    def changed(x_t: Array, t: Array) -> Prediction:
        prediction = denoiser(x_t, t)
        before = x_0_hat_of(schedule, t, x_t, prediction)
        after = change(before)
        eps = jnp.where(after == before, prediction.eps, eps_from_x_0(schedule, t, x_t, after))
        return prediction._replace(eps=eps, x_0_hat=after)

    return changed
