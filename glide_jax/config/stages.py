"""A stage: one model, and how it is trained and sampled. Its sections depend on its family."""

import dataclasses

from glide_jax.config.clip import ClipConfig
from glide_jax.config.sections import (
    DenoiserTrainingConfig,
    DiffusionConfig,
    GuideTrainingConfig,
    NoiseConfig,
    SamplingConfig,
)
from glide_jax.config.unets import AdmConfig, ClassifierConfig, GlideConfig


@dataclasses.dataclass(frozen=True)
class DenoiserStageConfig:
    """A stage that generates images: a base model or an upsampler.

    Attributes:
        model: the U-Net, of a family in `FAMILIES`.
        diffusion: the noising process, and what the model predicts.
        training: how it is trained.
        sampling: how it is sampled.
    """

    model: GlideConfig | AdmConfig
    diffusion: DiffusionConfig
    training: DenoiserTrainingConfig
    sampling: SamplingConfig


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
