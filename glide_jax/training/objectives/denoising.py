"""The loss of every model that generates images: noise an image, predict, compare."""

import dataclasses
from collections.abc import Callable

import einops

from glide_jax.config import DenoiserStageConfig, StageConfig
from glide_jax.diffusion.augmentation import augmented
from glide_jax.diffusion.gaussian import q_sample
from glide_jax.diffusion.losses import WEIGHTINGS, loss_terms
from glide_jax.diffusion.schedule import BETAS, make_schedule
from glide_jax.models.model import Model
from glide_jax.training.batch import Batch
from glide_jax.training.example_rng import ExampleRng
from glide_jax.training.objectives.loss import Loss, LossAux
from glide_jax.types import Array, Condition, Params

ConditionFn = Callable[[Batch, ExampleRng], Condition]
"""(batch, random numbers) → what the model is conditioned on, the low-res image excepted."""


def denoising_loss(model: Model, stage: DenoiserStageConfig, condition_of: ConditionFn) -> Loss:
    """The loss of a base model or, where the model has a low_res_size, of an upsampler.

    L_simple, and with `diffusion.vlb_weight` > 0 L_hybrid (Nichol & Dhariwal 2021, eq. 16); see
    `diffusion.losses`. An upsampler's low-res image is the mean over blocks of pixels, as ADM's is
    (Dhariwal & Nichol 2021). Gaussian noise of a random level, the `aug_level`, is added to it,
    see `diffusion.augmentation`, so that the upsampler copes with a base model's errors
    (conditioning augmentation, Ho et al. 2021, sec. 4); a model with `aug_level_conditioning` also
    receives the level (Saharia et al. 2022, sec. 2.4).

    Args:
        model: the model to train.
        stage: its noising process, and how its conditions are augmented.
        condition_of: makes the rest of the condition.
    """
    schedule = make_schedule(BETAS[stage.diffusion.schedule](stage.diffusion.num_steps))
    diffusion = stage.diffusion

    def loss(params: Params, batch: Batch, key: Array):
        rng = ExampleRng(key, batch["index"])
        x_0 = batch["image"]
        noise = rng.normal("noise", x_0.shape[1:])
        condition = full_condition(model, stage, condition_of, batch, rng)
        encoded = model.encode(params, condition)
        dropout_keys = rng.keys("dropout")

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
        return means.pop("hybrid"), LossAux(means, terms["hybrid"])

    return loss


def full_condition(
    model: Model,
    stage: DenoiserStageConfig,
    condition_of: ConditionFn,
    batch: Batch,
    rng: ExampleRng,
) -> Condition:
    """What a model is conditioned on in training, an upsampler's low-res image too.

    Args:
        model, stage, condition_of: see `denoising_loss`.
        batch: of images.
        rng: their random numbers.
    """
    condition = condition_of(batch, rng)
    if not model.config.low_res_size:
        return condition
    return _with_low_res(condition, batch["image"], rng, model, stage.training.max_aug_level)


def noising(stage: StageConfig) -> Callable[[Batch, ExampleRng], Array]:
    """(batch, random numbers) → x_t: f32[b h w 3], the images noised to their t."""
    schedule = make_schedule(BETAS[stage.diffusion.schedule](stage.diffusion.num_steps))

    def noised(batch: Batch, rng: ExampleRng) -> Array:
        x_0 = batch["image"]
        return q_sample(schedule, batch["t"], x_0, rng.normal("noise", x_0.shape[1:]))

    return noised


def _with_low_res(
    condition: Condition, image: Array, rng: ExampleRng, model: Model, max_aug_level: float
) -> Condition:
    # Of a crop as many blocks as it has.
    blocks = image.shape[1] * model.config.low_res_size // model.config.image_size
    low_res, level = augmented(
        mean_blocks(image, blocks),
        max_aug_level * rng.uniform("aug_level"),
        lambda shape: rng.normal("augmentation_noise", shape),
        model.enlarge,
    )
    return dataclasses.replace(condition, low_res=low_res, aug_level=level)


def mean_blocks(image: Array, size: int) -> Array:
    """f32[b h w c] → f32[b size size c], each pixel the mean of its block."""
    blocks = "b (h i) (w j) c -> b h w c"
    return einops.reduce(image, blocks, "mean", h=size, w=size)
