"""An experiment, as a person writes it (`configs/*.py`) and as the program sees it (dataclasses).

    configs/NAME.py, get_config() ─ load_config ─→ ConfigDict ─ experiment_from ─→ Experiment
    --config.seed=1, …              ┘                                 ↑ from_dict  ↓ to_dict
                                                                 the checkpoint's JSON

The dataclasses have no defaults: every value is written in a config file. Each checks its own
values; every error is a `UserError` that names the key by its dotted path. Names that are
registered elsewhere, such as a sampler's, are checked by `glide_jax.registries`: this package
imports neither JAX nor anything of the others, so that a wrong key is answered at once.
"""

from glide_jax.config.checks import DTYPES
from glide_jax.config.clip import ClipConfig, ClipImageConfig, ClipTextConfig
from glide_jax.config.comparing import (
    MAY_CHANGE,
    MAY_CHANGE_BEFORE,
    MAY_CHANGE_WITH_FINGERPRINT,
    conflicts,
    differences,
)
from glide_jax.config.experiment import TEXT_PRETRAINING, Experiment, TextPretrainingConfig
from glide_jax.config.families import FAMILIES, ModelConfig
from glide_jax.config.files import config_folder, experiment_from, find_config, load_config
from glide_jax.config.fine_tuning import GUIDANCE, AdapterConfig, DistillationConfig
from glide_jax.config.imagen import ImagenConfig
from glide_jax.config.overrides import OVERRIDE, split_overrides, with_overrides
from glide_jax.config.reading import from_dict, to_dict
from glide_jax.config.sections import (
    DataConfig,
    DenoiserTrainingConfig,
    DiffusionConfig,
    EvaluationConfig,
    FrozenTextConfig,
    GuideTrainingConfig,
    MonitoringConfig,
    NoiseConfig,
    PeriodicEvaluationConfig,
    PriorConfig,
    SamplingConfig,
    TextConfig,
    TrainingConfig,
)
from glide_jax.config.stages import DenoiserStageConfig, GuideStageConfig, StageConfig
from glide_jax.config.unets import (
    AdmConfig,
    ClassifierConfig,
    DenoiserConfig,
    GlideConfig,
    UNetConfig,
)

__all__ = [
    "DTYPES",
    "FAMILIES",
    "GUIDANCE",
    "MAY_CHANGE",
    "MAY_CHANGE_BEFORE",
    "MAY_CHANGE_WITH_FINGERPRINT",
    "OVERRIDE",
    "TEXT_PRETRAINING",
    "AdapterConfig",
    "AdmConfig",
    "ClassifierConfig",
    "ClipConfig",
    "ClipImageConfig",
    "ClipTextConfig",
    "DataConfig",
    "DenoiserConfig",
    "DenoiserStageConfig",
    "DenoiserTrainingConfig",
    "DiffusionConfig",
    "DistillationConfig",
    "EvaluationConfig",
    "Experiment",
    "FrozenTextConfig",
    "GlideConfig",
    "GuideStageConfig",
    "GuideTrainingConfig",
    "ImagenConfig",
    "ModelConfig",
    "MonitoringConfig",
    "NoiseConfig",
    "PeriodicEvaluationConfig",
    "PriorConfig",
    "SamplingConfig",
    "StageConfig",
    "TextConfig",
    "TextPretrainingConfig",
    "TrainingConfig",
    "UNetConfig",
    "config_folder",
    "conflicts",
    "differences",
    "experiment_from",
    "find_config",
    "from_dict",
    "load_config",
    "split_overrides",
    "to_dict",
    "with_overrides",
]
