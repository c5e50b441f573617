"""The loss of GLIDE's stages: images conditioned on their caption."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from glide_jax.config import DenoiserStageConfig, GlideConfig
from glide_jax.models.model import Model
from glide_jax.text.reader import CaptionReader
from glide_jax.training.batch import Batch
from glide_jax.training.example_rng import ExampleRng
from glide_jax.training.objectives.denoising import ConditionFn, denoising_loss
from glide_jax.training.objectives.inpainting_masks import kept_outside_box
from glide_jax.training.objectives.loss import Loss
from glide_jax.types import Array, Condition


def text_to_image_loss(model: Model, stage: DenoiserStageConfig, reader: CaptionReader) -> Loss:
    """The loss of a text-conditional model (Nichol et al. 2021).

    With probability `training.caption_dropout` a caption is replaced by the null caption, for
    classifier-free guidance (Ho & Salimans 2021). A model that inpaints also receives the image
    with a random box erased, and its loss covers all pixels; an upsampler still receives the
    complete low-res image.

    Args:
        model: the model to train.
        stage: its noising process, and how its conditions are augmented.
        reader: of the captions; it makes the null caption.
    """
    return denoising_loss(model, stage, text_condition(stage, reader))


def text_condition(stage: DenoiserStageConfig, reader: CaptionReader) -> ConditionFn:
    """What a text-conditional model is conditioned on, see `text_to_image_loss`."""
    null = reader.read([""]).arrays

    def condition_of(batch: Batch, rng: ExampleRng) -> Condition:
        drop = rng.uniform("caption") < stage.training.caption_dropout
        condition = Condition(**{name: _where(drop, x, batch[name]) for name, x in null.items()})
        if isinstance(stage.model, GlideConfig) and stage.model.inpaint:
            box = [rng.uniform(f"box_{name}") for name in ("height", "width", "top", "left")]
            kept = kept_outside_box(*box, size=stage.model.image_size)
            image = batch["image"]
            condition = dataclasses.replace(condition, inpaint_image=image, inpaint_mask=kept)
        return condition

    return condition_of


def _where(drop: Array, null: np.ndarray, given: Array) -> Array:
    """`null`, [1 …], in the rows of `given`, [b …], that drop: bool[b] is True for."""
    return jnp.where(drop.reshape(-1, *[1] * (given.ndim - 1)), null, given)
