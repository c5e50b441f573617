"""A stage: one model, and how it is trained and sampled. Its sections depend on its family."""

import dataclasses
import math

from glide_jax.config.clip import ClipConfig
from glide_jax.config.imagen import ImagenConfig
from glide_jax.config.sections import (
    DenoiserTrainingConfig,
    DiffusionConfig,
    GuideTrainingConfig,
    NoiseConfig,
    SamplingConfig,
)
from glide_jax.config.unets import AdmConfig, ClassifierConfig, GlideConfig
from glide_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class DenoiserStageConfig:
    """A stage that generates images: a base model or an upsampler.

    Attributes:
        model: the U-Net, of a family in `FAMILIES`.
        diffusion: the noising process, and what the model predicts.
        training: how it is trained.
        sampling: how it is sampled.
    """

    model: GlideConfig | AdmConfig | ImagenConfig
    diffusion: DiffusionConfig
    training: DenoiserTrainingConfig
    sampling: SamplingConfig

    def __post_init__(self):
        crop, low, size = self.training.crop_size, self.model.low_res_size, self.model.image_size
        if not crop:
            return
        multiple = math.lcm(size // low if low else 1, 2**self.model.halvings)
        if not low or not crop <= size or crop % multiple:
            what = f"0, or a multiple of {multiple} up to model.image_size, {size}"
            what = what if low else "0: a base model is trained on the whole image"
            raise UserError(f"training.crop_size must be {what}, not {crop}")


@dataclasses.dataclass(frozen=True)
class GuideStageConfig:
    """A model that guides the sampling of others and generates no images itself.

    Attributes:
        model: a CLIP or a classifier of noised images, of a family in `FAMILIES`.
        diffusion: the noising process of its images, that of the model it guides.
        training: how it is trained.
    """

    model: ClassifierConfig | ClipConfig
    diffusion: NoiseConfig
    training: GuideTrainingConfig


StageConfig = DenoiserStageConfig | GuideStageConfig
"""Either kind; a config's `model.family` decides which."""
