"""What GLIDE's stages minimise: a picture told by its caption."""

import dataclasses

import jax.numpy as jnp

from glide_jax.config import GlideConfig, StageConfig
from glide_jax.models.model import Model
from glide_jax.text import TokenBatch
from glide_jax.training.denoising import denoising_loss
from glide_jax.training.draws import Draws
from glide_jax.training.erasing import kept_outside_box
from glide_jax.training.step import Batch, Loss
from glide_jax.types import Condition


def text_to_image_loss(model: Model, stage: StageConfig, null: TokenBatch) -> Loss:
    """The loss of a model that is told a caption.

    The caption is dropped to the null caption with `training.caption_dropout`, for
    classifier-free guidance (Ho & Salimans 2021). A model that inpaints sees the picture with a box
    of it erased, and draws all of it; an upsampler so sees the whole low-res picture.

    Args:
        model: what to train.
        stage: its noising process, and what is done to its conditions.
        null: the null caption, i32[1 l] and bool[1 l]: `tokenize(tokenizer, [""], l)`.
    """

    def says(batch: Batch, draw: Draws) -> Condition:
        drop = (draw.uniform("caption") < stage.training.caption_dropout)[:, None]
        tokens = jnp.where(drop, null.tokens, batch["tokens"])
        mask = jnp.where(drop, null.mask, batch["mask"])
        condition = Condition(tokens=tokens, mask=mask)
        if isinstance(stage.model, GlideConfig) and stage.model.inpaint:
            box = [draw.uniform(f"box_{name}") for name in ("height", "width", "top", "left")]
            kept = kept_outside_box(*box, size=stage.model.image_size)
            image = batch["image"]
            condition = dataclasses.replace(condition, inpaint_image=image, inpaint_mask=kept)
        return condition

    return denoising_loss(model, stage, says)
