"""What GLIDE's stages minimise: noise a picture, tell the model its caption, compare."""

import dataclasses

import einops
import jax
import jax.numpy as jnp

from glide_jax.config import GlideConfig, StageConfig
from glide_jax.diffusion.losses import WEIGHTINGS, loss_terms
from glide_jax.diffusion.schedule import BETAS, make_schedule
from glide_jax.models.model import Model
from glide_jax.text import TokenBatch
from glide_jax.training.erasing import kept_outside_box
from glide_jax.training.step import Batch, Loss
from glide_jax.types import Array, Condition, Params


def text_to_image_loss(model: Model, stage: StageConfig, null: TokenBatch) -> Loss:
    """The loss of a base model or, where the model has a low_res_size, of an upsampler.

    The caption is dropped to the null caption with `training.caption_dropout`, for
    classifier-free guidance (Ho & Salimans 2021); an upsampler's low-res picture is the mean
    over blocks, with noise of a random strength so that it forgives a base model's flaws
    (conditioning augmentation, Ho et al. 2021). A model that inpaints sees the picture with a box
    of it erased, and draws all of it; an upsampler so sees the whole low-res picture.

    Args:
        model: what to train.
        stage: its noising process, and what is done to its conditions.
        null: the null caption, i32[1 l] and bool[1 l]: `tokenize(tokenizer, [""], l)`.
    """
    schedule = make_schedule(BETAS[stage.diffusion.schedule](stage.diffusion.num_steps))

    def loss(params: Params, batch: Batch, key: Array):
        draw = _Draws(key, batch["index"])
        x_0 = batch["image"]
        t = draw.integers("t", stage.diffusion.num_steps)
        noise = draw.normal("noise", x_0.shape[1:])
        condition = _condition(batch, draw, stage, model.config.low_res_size, null)
        encoded = model.encode(params, condition)
        dropout_keys = draw.keys("dropout")

        def apply(x_t: Array, t: Array) -> Array:
            return model.apply(params, x_t, t, encoded, dropout_keys)

        diffusion = stage.diffusion
        terms = loss_terms(
            apply,
            schedule,
            diffusion.prediction,
            t,
            x_0,
            noise,
            vlb_weight=diffusion.vlb_weight,
            weighting=WEIGHTINGS[diffusion.weighting],
        )
        means = {name: value.mean() for name, value in terms.items()}
        return means.pop("hybrid"), means

    return loss


def _condition(
    batch: Batch, draw: "_Draws", stage: StageConfig, low_res_size: int, null: TokenBatch
) -> Condition:
    drop = (draw.uniform("caption") < stage.training.caption_dropout)[:, None]
    tokens = jnp.where(drop, null.tokens, batch["tokens"])
    mask = jnp.where(drop, null.mask, batch["mask"])
    condition = Condition(tokens=tokens, mask=mask)
    if isinstance(stage.model, GlideConfig) and stage.model.inpaint:
        box = [draw.uniform(f"box_{name}") for name in ("height", "width", "top", "left")]
        kept = kept_outside_box(*box, size=stage.model.image_size)
        condition = dataclasses.replace(condition, inpaint_image=batch["image"], inpaint_mask=kept)
    if not low_res_size:
        return condition
    low_res = mean_blocks(batch["image"], low_res_size)
    strength = stage.training.low_res_noise * draw.uniform("low_res_strength")
    low_res += strength[:, None, None, None] * draw.normal("low_res_noise", low_res.shape[1:])
    return dataclasses.replace(condition, low_res=low_res)


def mean_blocks(image: Array, size: int) -> Array:
    """f32[b h w c] → f32[b size size c], each pixel the mean of its block."""
    blocks = "b (h i) (w j) c -> b h w c"
    return einops.reduce(image, blocks, "mean", h=size, w=size)


class _Draws:
    """Random numbers by picture: a picture's depend on the step's key and its index alone."""

    _NAMES = (
        *("t", "noise", "caption", "low_res_strength", "low_res_noise", "dropout"),
        *("box_height", "box_width", "box_top", "box_left"),
    )

    def __init__(self, key: Array, index: Array):
        self._key, self._index = key, index

    def keys(self, name: str) -> Array:
        """key[b]."""
        key = jax.random.fold_in(self._key, self._NAMES.index(name))
        return jax.vmap(jax.random.fold_in, (None, 0))(key, self._index)

    def integers(self, name: str, stop: int) -> Array:
        """i32[b] in [0, stop)."""
        return jax.vmap(lambda k: jax.random.randint(k, (), 0, stop))(self.keys(name))

    def uniform(self, name: str) -> Array:
        """f32[b] in [0, 1)."""
        return jax.vmap(jax.random.uniform)(self.keys(name))

    def normal(self, name: str, shape: tuple[int, ...]) -> Array:
        """f32[b *shape], standard normal."""
        return jax.vmap(lambda k: jax.random.normal(k, shape))(self.keys(name))
