"""Stages put together: a base model draws, upsamplers enlarge what it drew."""

import itertools
from collections.abc import Sequence

import numpy as np

from glide_jax.errors import UserError
from glide_jax.pipelines.one_stage import Asked, batches_of, draw_stage
from glide_jax.pipelines.settings import Settings
from glide_jax.pipelines.stage import Stage, Subject, key_of


def draw_pictures(
    stages: Sequence[Stage],
    prompts: Sequence[str],
    *,
    seed: int,
    guidance_scale: float | None = None,
) -> list[np.ndarray]:
    """Draw a picture for each prompt, each stage as its config says.

    Picture i depends on (seed, i) and its prompt alone, not on the batch it was drawn in.

    Args:
        stages: the base model's, then the upsamplers'.
        prompts: captions; "" for a picture of anything.
        seed: of all the noise.
        guidance_scale: the base model's, in the place of its config's.

    Returns:
        uint8[n s s 3] for each stage, s its size.

    Raises:
        UserError: the first stage draws no prompts.
    """
    check_prompts(stages, prompts)
    subjects = [Subject(prompt) for prompt in prompts]
    settings, pictures = Settings(guidance_scale=guidance_scale), []
    for place, stage in enumerate(stages):
        low_res = pictures[-1] if pictures else None
        asked = Asked(key_of(seed, place), subjects, range(len(prompts)), low_res=low_res)
        cut = batches_of(stage, len(prompts), settings)
        pictures.append(draw_stage(stage, asked, settings, cut))
        settings = Settings()
    return pictures


def needs_picture(stages: Sequence[Stage]) -> bool:
    """Whether the first stage is an upsampler, so that prompts alone can't be drawn."""
    return stages[0].low_res_size != 0


def check_prompts(stages: Sequence[Stage], prompts: Sequence[str]) -> None:
    """Raises UserError unless the first stage draws prompts, or all are empty."""
    first = stages[0]
    if needs_picture(stages):
        raise UserError(
            "the first model is an upsampler: it needs a picture to enlarge, "
            f"{first.low_res_size} pixels a side, and a prompt gives none; "
            "put a base model before it"
        )
    if first.tokenizer is None and any(prompts):
        family = first.model.config.family
        raise UserError(f"a model of family {family!r} is not told a caption: it draws no prompts")


def check_cascade(stages: Sequence[Stage]) -> None:
    """Raises UserError unless each stage enlarges what the one before draws."""
    for before, stage in itertools.pairwise(stages):
        if stage.low_res_size != before.size:
            low = stage.low_res_size
            what = f"enlarges {low} pixels a side" if low else "is a base model"
            raise UserError(
                f"the models make no cascade: after one that draws {before.size} pixels a side "
                f"comes one that {what}"
            )
