"""The loss and the batches of each model family: one line a family."""

import dataclasses
from collections.abc import Callable
from typing import Any

from glide_jax.config import StageConfig
from glide_jax.data.conditioning import (
    Conditioning,
    caption_conditioning,
    label_conditioning,
    no_conditioning,
)
from glide_jax.data.source import Source
from glide_jax.text import TokenBatch, tokenize
from glide_jax.training.objectives.class_to_image import class_to_image_loss
from glide_jax.training.objectives.image_to_class import image_to_class_loss
from glide_jax.training.objectives.image_to_text import image_to_text_loss
from glide_jax.training.objectives.loss import Loss
from glide_jax.training.objectives.text_to_image import text_to_image_loss
from glide_jax.training.tokenization import Tokenization


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a model family learns.

    Attributes:
        loss: (model, stage, tokenization) → the loss to minimise.
        reads_captions: whether its batches hold captions; if not, they hold labels where the model
            knows classes.
        compares_examples: whether an image's loss depends on the other images of its batch, so
            that the batch can't be split into microbatches.
    """

    loss: Callable[[Any, Any, Tokenization], Loss]
    reads_captions: bool = False
    compares_examples: bool = False


OBJECTIVES: dict[str, Objective] = {
    "glide": Objective(
        lambda model, stage, tokenization: text_to_image_loss(model, stage, _null(tokenization)),
        reads_captions=True,
    ),
    "adm": Objective(lambda model, stage, tokenization: class_to_image_loss(model, stage)),
    "classifier": Objective(lambda model, stage, tokenization: image_to_class_loss(model, stage)),
    "clip": Objective(
        lambda model, stage, tokenization: image_to_text_loss(model, stage),
        reads_captions=True,
        compares_examples=True,
    ),
}
"""Model family → what it learns."""


def conditioning_of(
    stage: StageConfig, source: Source, name: str, tokenization: Tokenization
) -> Conditioning:
    """What a stage's batches hold beside images.

    Args:
        stage: the stage to train.
        source: the data set.
        name: the data set's name in the config, for error messages.
        tokenization: how captions are tokenized.

    Raises:
        UserError: the model learns classes, and the data set has no labels or more classes.
    """
    if OBJECTIVES[stage.model.family].reads_captions:
        assert tokenization.tokenizer is not None
        return caption_conditioning(tokenization.tokenizer, tokenization.length)
    num_classes = getattr(stage.model, "num_classes", 0)
    return label_conditioning(source, name, num_classes) if num_classes else no_conditioning


def _null(tokenization: Tokenization) -> TokenBatch:
    assert tokenization.tokenizer is not None
    return tokenize(tokenization.tokenizer, [""], tokenization.length)
