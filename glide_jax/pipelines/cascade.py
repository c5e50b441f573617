"""Stages put together: a base model draws, upsamplers enlarge what it drew."""

import itertools
from collections.abc import Sequence

from glide_jax.errors import UserError
from glide_jax.pipelines.stage import Stage


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
