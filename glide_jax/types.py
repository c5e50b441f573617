"""The types that the packages share."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax

Array = jax.Array
Params = dict[str, jax.Array]
"""A model's weights: one flat dict, `input_blocks.0.0.kernel` → array. A pytree."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Condition:
    """What a model is conditioned on. A pytree; a field that the model does not use may be None.

    Attributes:
        tokens: i32[b l], the caption's token ids, padded to the model's text length.
        mask: bool[b l], True where a token is the caption's, False where it is padding; of tokens
            or of text_embedding.
        text_embedding: [b l d], what a frozen text encoder made of the caption, in place of tokens;
            models that are trained on one only.
        low_res: f32[b h w c] in [-1, 1], the image to upsample, enlarged to x_t's size where the
            model has an `enlarge`; upsamplers only.
        aug_level: f32[b] ≥ 0, the level of the noise on low_res (noise-conditioning
            augmentation): its standard deviation, on the scale of [-1, 1], or the time of the
            noising process, from 0 to 1, see `diffusion.augmentation`; upsamplers with
            `aug_level_conditioning` need it, the others ignore it.
        guidance_scale: f32[b] in `guidance_range`; models that have one.
        inpaint_image: f32[b h w c] in [-1, 1], the image whose known pixels are kept.
        inpaint_mask: f32[b h w 1], 1 where the pixel is KEPT, 0 where it is sampled.
        label: i32[b] in [0, num_classes), the class; class-conditional models only.
    """

    tokens: Array | None = None
    mask: Array | None = None
    text_embedding: Array | None = None
    low_res: Array | None = None
    aug_level: Array | None = None
    guidance_scale: Array | None = None
    inpaint_image: Array | None = None
    inpaint_mask: Array | None = None
    label: Array | None = None


class Prediction(NamedTuple):
    """What a denoiser predicts from x_t.

    Attributes:
        eps: f32[b h w c], the noise in x_t, of standard deviation 1.
        variance_fraction: f32[b h w c] or None: where the log variance of p(x_{t-1} | x_t) lies
            between the posterior's (0) and log β_t (1) (Nichol & Dhariwal 2021, eq. 15). None:
            the model does not learn the variance.
        x_0_hat: f32[b h w c] in about [-1, 1], or None: the image that corresponds to eps, if a
            transform has set it. While x_t is almost pure noise, it can't be recovered from eps in
            float32.
        mean_gradient: f32[b h w c] or None: ∇ log p(y | x_t) with respect to x_t, by which a
            sampler shifts the mean of p(x_{t-1} | x_t) (Dhariwal & Nichol 2021, algorithm 1).
    """

    eps: Array
    variance_fraction: Array | None = None
    x_0_hat: Array | None = None
    mean_gradient: Array | None = None


Denoiser = Callable[[Array, Array], Prediction]
"""(x_t: f32[b h w c], t: i32[b], index into the ORIGINAL schedule) → Prediction.

A model closed over its weights and condition, see `gaussian.denoiser_from`; guidance transforms one
Denoiser into another.
"""
