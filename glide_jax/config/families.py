"""The list of model families: one dataclass each, told apart by its `family`."""

import typing

from glide_jax.config.checks import family_of
from glide_jax.config.clip import ClipConfig
from glide_jax.config.unets import AdmConfig, ClassifierConfig, GlideConfig

ModelConfig = GlideConfig | AdmConfig | ClassifierConfig | ClipConfig

FAMILIES: dict[str, type] = {family_of(kind): kind for kind in typing.get_args(ModelConfig)}
"""A model section's `family` → its dataclass."""
