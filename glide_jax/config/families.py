"""The model families: one dataclass each, named by its `family`.

A new family is a line here, and its dataclass among the models of its kind of stage in `stages`.
"""

from glide_jax.config.checks import family_of
from glide_jax.config.clip import ClipConfig
from glide_jax.config.imagen import ImagenConfig
from glide_jax.config.unets import AdmConfig, ClassifierConfig, GlideConfig

ModelConfig = GlideConfig | AdmConfig | ImagenConfig | ClassifierConfig | ClipConfig

FAMILIES: dict[str, type] = {
    family_of(kind): kind
    for kind in (GlideConfig, AdmConfig, ImagenConfig, ClassifierConfig, ClipConfig)
}
"""A model section's `family` → its dataclass."""
