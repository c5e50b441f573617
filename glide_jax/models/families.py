"""The model of any stage, of any family, as its config describes it.

A new family is a line in `_FACTORIES`, see CONTRIBUTING.
"""

from collections.abc import Callable
from typing import Any

from glide_jax.config import StageConfig
from glide_jax.models.adm import adm
from glide_jax.models.classifier import classifier
from glide_jax.models.clip import clip
from glide_jax.models.glide import glide
from glide_jax.models.imagen import imagen


def model_of(stage: StageConfig, *, vocab_size: int, text_length: int) -> Any:
    """Build a stage's model, of any family; no weights are created.

    Args:
        stage: its config.
        vocab_size: rows of its token embedding; ignored by a model without text.
        text_length: tokens of a caption; likewise.
    """
    text = {"vocab_size": vocab_size, "text_length": text_length}
    return _FACTORIES[stage.model.family](stage, text)


_FACTORIES: dict[str, Callable[[Any, dict[str, int]], Any]] = {
    "glide": lambda stage, text: glide(
        stage.model, **text, learn_variance=stage.diffusion.learn_variance
    ),
    "adm": lambda stage, text: adm(stage.model, learn_variance=stage.diffusion.learn_variance),
    "imagen": lambda stage, text: imagen(
        stage.model, learn_variance=stage.diffusion.learn_variance
    ),
    "classifier": lambda stage, text: classifier(stage.model),
    "clip": lambda stage, text: clip(stage.model, **text),
}
