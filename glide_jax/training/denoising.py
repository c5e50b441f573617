"""What every model that draws minimises: noise a picture, say of it what is said, compare."""

import dataclasses
from collections.abc import Callable

import einops

from glide_jax.config import StageConfig
from glide_jax.diffusion.gaussian import q_sample
from glide_jax.diffusion.losses import WEIGHTINGS, loss_terms
from glide_jax.diffusion.schedule import BETAS, make_schedule
from glide_jax.models.model import Model
from glide_jax.training.draws import Draws
from glide_jax.training.step import Batch, Loss, Measured
from glide_jax.types import Array, Condition, Params

Says = Callable[[Batch, Draws], Condition]
"""(batch, chance) → what a model is told of its pictures, a low-res picture apart."""


def denoising_loss(model: Model, stage: StageConfig, says: Says) -> Loss:
    """The loss of a base model or, where the model has a low_res_size, of an upsampler.

    An upsampler's low-res picture is the mean over blocks, as ADM's is (Dhariwal & Nichol 2021),
    with noise of a random strength so that it forgives a base model's flaws (conditioning
    augmentation, Ho et al. 2021, sec. 4); a model with `low_res_noise_told` is told how strong
    (Saharia et al. 2022, sec. 2.4).

    Args:
        model: what to train.
        stage: its noising process, and what is done to its conditions.
        says: what else it is told.
    """
    schedule = make_schedule(BETAS[stage.diffusion.schedule](stage.diffusion.num_steps))
    diffusion = stage.diffusion

    def loss(params: Params, batch: Batch, key: Array):
        draw = Draws(key, batch["index"])
        x_0 = batch["image"]
        noise = draw.normal("noise", x_0.shape[1:])
        condition = says(batch, draw)
        if model.config.low_res_size:
            condition = _with_low_res(condition, x_0, draw, model, stage.training.low_res_noise)
        encoded = model.encode(params, condition)
        dropout_keys = draw.keys("dropout")

        def apply(x_t: Array, t: Array) -> Array:
            return model.apply(params, x_t, t, encoded, dropout_keys)

        terms = loss_terms(
            apply,
            schedule,
            diffusion.prediction,
            batch["t"],
            x_0,
            noise,
            vlb_weight=diffusion.vlb_weight,
            weighting=WEIGHTINGS[diffusion.weighting],
        )
        means = {name: (batch["t_weight"] * value).mean() for name, value in terms.items()}
        return means.pop("hybrid"), Measured(means, terms["hybrid"])

    return loss


def noising(stage: StageConfig) -> Callable[[Batch, Draws], Array]:
    """(batch, chance) → x_t: f32[b h w 3] of the batch's pictures and t, by the stage's process."""
    schedule = make_schedule(BETAS[stage.diffusion.schedule](stage.diffusion.num_steps))

    def noised(batch: Batch, draw: Draws) -> Array:
        x_0 = batch["image"]
        return q_sample(schedule, batch["t"], x_0, draw.normal("noise", x_0.shape[1:]))

    return noised


def _with_low_res(
    condition: Condition, image: Array, draw: Draws, model: Model, noise: float
) -> Condition:
    low_res = mean_blocks(image, model.config.low_res_size)
    strength = noise * draw.uniform("low_res_strength")
    low_res += strength[:, None, None, None] * draw.normal("low_res_noise", low_res.shape[1:])
    return dataclasses.replace(condition, low_res=low_res, low_res_noise=strength)


def mean_blocks(image: Array, size: int) -> Array:
    """f32[b h w c] → f32[b size size c], each pixel the mean of its block."""
    blocks = "b (h i) (w j) c -> b h w c"
    return einops.reduce(image, blocks, "mean", h=size, w=size)
