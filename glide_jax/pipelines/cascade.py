"""Stages put together: a base model draws, upsamplers enlarge what it drew."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.config import StageConfig
from glide_jax.diffusion.sample import picture_keys
from glide_jax.errors import UserError
from glide_jax.models.model import Model
from glide_jax.pipelines.drawing import Draw, drawer
from glide_jax.text import Tokenizer, tokenize
from glide_jax.types import Array, Condition, Params


@dataclasses.dataclass(frozen=True)
class Stage:
    """A model with weights, and all that drawing with it takes."""

    config: StageConfig
    model: Model
    params: Params
    tokenizer: Tokenizer
    text_length: int
    draw: Draw


def make_stage(
    config: StageConfig, model: Model, params: Params, tokenizer: Tokenizer, text_length: int
) -> Stage:
    """A stage ready to draw. Raises UserError where its sampling config makes no sense."""
    draw = drawer(model, model.config.image_size, config.diffusion, config.sampling)
    return Stage(config, model, params, tokenizer, text_length, draw)


def needs_picture(stages: Sequence[Stage]) -> bool:
    """Whether the first stage is an upsampler, so that prompts alone can't be drawn."""
    return stages[0].model.config.low_res_size != 0


def draw_pictures(
    stages: Sequence[Stage],
    prompts: Sequence[str],
    *,
    seed: int,
    guidance_scale: float | None = None,
) -> list[np.ndarray]:
    """Draw a picture for each prompt.

    Picture i depends on (seed, i) and its prompt alone, not on the batch it was drawn in.

    Args:
        stages: the base model's, then the upsamplers'.
        prompts: captions; "" for a picture of anything.
        seed: of all the noise.
        guidance_scale: the base model's, in the place of its config's.

    Returns:
        uint8[n s s 3] for each stage, s its size.

    Raises:
        UserError: the first stage enlarges a picture, and there is none.
    """
    if needs_picture(stages):
        raise UserError(
            "the first model is an upsampler: it needs a picture to enlarge, "
            f"{stages[0].model.config.low_res_size} pixels a side, and a prompt gives none; "
            "put a base model before it"
        )
    pictures: list[np.ndarray] = []
    for place, stage in enumerate(stages):
        scale = stage.config.sampling.guidance_scale
        if place == 0 and guidance_scale is not None:
            scale = guidance_scale
        seed_key = jax.random.fold_in(jax.random.key(seed), place)
        low_res = pictures[-1] if place else None
        pictures.append(_draw_stage(stage, prompts, seed_key, scale, low_res))
    return pictures


def _draw_stage(
    stage: Stage,
    prompts: Sequence[str],
    seed_key: Array,
    guidance_scale: float,
    low_res: np.ndarray | None,
) -> np.ndarray:
    sampling = stage.config.sampling
    size = min(sampling.batch_size, len(prompts))
    settings = [jnp.float32(v) for v in (guidance_scale, sampling.eta, sampling.temperature)]
    drawn = []
    for start in range(0, len(prompts), size):
        # The last batch is filled up with more of its first picture: a shape never seen before
        # would compile again.
        places = [i if i < len(prompts) else start for i in range(start, start + size)]
        condition = _condition(stage, [prompts[i] for i in places])
        null = None if guidance_scale == 1 else _condition(stage, [""] * size)
        if low_res is not None:
            picture = jnp.asarray(low_res[places], jnp.float32) / 127.5 - 1
            condition = dataclasses.replace(condition, low_res=picture)
            null = null and dataclasses.replace(null, low_res=picture)
        keys = picture_keys(seed_key, places)
        x_0 = stage.draw(stage.params, condition, null, keys, *settings)
        drawn.append(np.asarray(jnp.round((x_0 + 1) * 127.5).astype(jnp.uint8)))
    return np.concatenate(drawn)[: len(prompts)]


def _condition(stage: Stage, captions: Sequence[str]) -> Condition:
    batch = tokenize(stage.tokenizer, captions, stage.text_length)
    return Condition(tokens=jnp.asarray(batch.tokens), mask=jnp.asarray(batch.mask))
