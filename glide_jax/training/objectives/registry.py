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
from glide_jax.text.reader import CaptionReader
from glide_jax.training.objectives.class_to_image import class_condition, class_to_image_loss
from glide_jax.training.objectives.denoising import ConditionFn
from glide_jax.training.objectives.image_to_class import image_to_class_loss
from glide_jax.training.objectives.image_to_text import image_to_text_loss
from glide_jax.training.objectives.loss import Loss
from glide_jax.training.objectives.text_to_image import text_condition, text_to_image_loss


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a model family learns.

    Attributes:
        loss: (model, stage, reader of the captions) → the loss to minimise; where no model of
            the experiment reads captions, the reader is None.
        reads_captions: whether its batches hold captions; if not, they hold labels where the model
            knows classes.
        compares_examples: whether an image's loss depends on the other images of its batch, so
            that the batch can't be split into microbatches.
        condition: (stage, reader) → what the model is conditioned on, for distillation; None: the
            family is none of denoisers.
    """

    loss: Callable[[Any, Any, Any], Loss]
    reads_captions: bool = False
    compares_examples: bool = False
    condition: Callable[[Any, Any], ConditionFn] | None = None


OBJECTIVES: dict[str, Objective] = {
    "glide": Objective(text_to_image_loss, reads_captions=True, condition=text_condition),
    "imagen": Objective(text_to_image_loss, reads_captions=True, condition=text_condition),
    "adm": Objective(
        lambda model, stage, reader: class_to_image_loss(model, stage),
        condition=lambda stage, reader: class_condition,
    ),
    "classifier": Objective(lambda model, stage, reader: image_to_class_loss(model, stage)),
    "clip": Objective(
        lambda model, stage, reader: image_to_text_loss(model, stage),
        reads_captions=True,
        compares_examples=True,
    ),
}
"""Model family → what it learns."""


def conditioning_of(
    stage: StageConfig, source: Source, name: str, reader: CaptionReader | None
) -> Conditioning:
    """What a stage's batches hold beside images.

    Args:
        stage: the stage to train.
        source: the data set.
        name: the data set's name in the config, for error messages.
        reader: of the captions; None: no model of the experiment reads any.

    Raises:
        UserError: the model learns classes, and the data set has no labels or more classes.
    """
    if OBJECTIVES[stage.model.family].reads_captions:
        assert reader is not None
        return caption_conditioning(reader)
    num_classes = getattr(stage.model, "num_classes", 0)
    return label_conditioning(source, name, num_classes) if num_classes else no_conditioning
