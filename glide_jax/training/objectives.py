"""What a model of each family learns, and from what: one line a family."""

import dataclasses
from collections.abc import Callable
from typing import Any

from glide_jax.config import StageConfig
from glide_jax.data.source import Source
from glide_jax.data.told import Told, told_captions, told_labels, told_nothing
from glide_jax.errors import UserError
from glide_jax.text import TokenBatch, tokenize
from glide_jax.training.class_to_image import class_to_image_loss
from glide_jax.training.image_to_class import image_to_class_loss
from glide_jax.training.image_to_text import image_to_text_loss
from glide_jax.training.step import Loss
from glide_jax.training.text_to_image import text_to_image_loss
from glide_jax.training.words import Words


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a model learns.

    Attributes:
        loss: (model, stage, words) → what it minimises.
        reads_captions: whether it is told a caption; else its batches hold a label, where it knows
            classes.
        compares: whether a picture's loss depends on the others of its batch, so that a batch
            can't be cut into micro-batches.
    """

    loss: Callable[[Any, StageConfig, Words], Loss]
    reads_captions: bool = False
    compares: bool = False


OBJECTIVES: dict[str, Objective] = {
    "glide": Objective(
        lambda model, stage, words: text_to_image_loss(model, stage, _null(words)),
        reads_captions=True,
    ),
    "adm": Objective(lambda model, stage, words: class_to_image_loss(model, stage)),
    "classifier": Objective(lambda model, stage, words: image_to_class_loss(model, stage)),
    "clip": Objective(
        lambda model, stage, words: image_to_text_loss(model, stage),
        reads_captions=True,
        compares=True,
    ),
}
"""Model family → what it learns."""


def told(stage: StageConfig, source: Source, name: str, words: Words) -> Told:
    """What of a picture's description is in a stage's batches.

    Args:
        stage: whose model it is.
        source: the pictures.
        name: what the source is called.
        words: how captions are read.

    Raises:
        UserError: the model learns classes, and the source has no labels or more of them.
    """
    if OBJECTIVES[stage.model.family].reads_captions:
        assert words.tokenizer is not None
        return told_captions(words.tokenizer, words.length)
    num_classes = getattr(stage.model, "num_classes", 0)
    return told_labels(source, name, num_classes) if num_classes else told_nothing


def check_pieces(name: str, stage: StageConfig, pieces: int) -> None:
    """Raises UserError where a batch that is held against itself would be cut into pieces."""
    if pieces > 1 and OBJECTIVES[stage.model.family].compares:
        prefix = "" if name == "base" else f"{name}."
        raise UserError(
            f"{prefix}training.microbatch_size must be 0 for a model of family "
            f"{stage.model.family!r}: each picture is held against the captions of the whole batch"
        )


def _null(words: Words) -> TokenBatch:
    assert words.tokenizer is not None
    return tokenize(words.tokenizer, [""], words.length)
