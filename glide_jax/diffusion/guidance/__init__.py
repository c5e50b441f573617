"""Denoiser → Denoiser: classifier-free guidance, thresholds, known pixels, gradients.

    model ─ denoiser_from ─ classifier_free ─ keep_known ─ clip_x_0 ─ shift_mean ─→ sample
            (batch 2b)      (batch b)         optional     or         or shift_score,
                                                           dynamic_   optional
                                                           threshold

A transform of x_0_hat hands on the changed one, and the eps that with x_t says the same. Pixels
that it leaves alone keep the model's own eps, bit for bit.

`schedule` is always the full one that the model was trained on, since t counts its steps.
"""

from glide_jax.diffusion.guidance.classifier_free import classifier_free, guidance_interval
from glide_jax.diffusion.guidance.gradients import (
    Gradient,
    gradient_of,
    shift_mean,
    shift_score,
)
from glide_jax.diffusion.guidance.known_pixels import keep_known
from glide_jax.diffusion.guidance.thresholding import clip_x_0, dynamic_threshold, thresholded

__all__ = [
    "Gradient",
    "classifier_free",
    "clip_x_0",
    "dynamic_threshold",
    "gradient_of",
    "guidance_interval",
    "keep_known",
    "shift_mean",
    "shift_score",
    "thresholded",
]
