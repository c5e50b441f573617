"""An experiment, as a person writes it (`configs/*.py`) and as the program sees it (dataclasses).

    configs/NAME.py, get_config() ─ load_config ─→ ConfigDict ─ experiment_from ─→ Experiment
    --config.training.batch_size=64 ┘                                 ↑ from_dict  ↓ to_dict
                                                                 the checkpoint's JSON

The dataclasses have no defaults: every value is written in a config file. Each checks its own
values; every complaint is a `UserError` that names the key by its dotted path.
"""

from glide_jax.config.clip import ClipConfig, ClipImageConfig, ClipTextConfig
from glide_jax.config.comparing import MAY_CHANGE, MAY_CHANGE_BEFORE, conflicts, differences
from glide_jax.config.experiment import (
    BASE,
    TEXT_PRETRAINING,
    Experiment,
    StageConfig,
    TextPretrainingConfig,
)
from glide_jax.config.families import FAMILIES, ModelConfig
from glide_jax.config.files import experiment_from, load_config
from glide_jax.config.overrides import OVERRIDE, split_overrides, with_overrides
from glide_jax.config.reading import from_dict, to_dict
from glide_jax.config.sections import (
    DataConfig,
    DiffusionConfig,
    EvaluationConfig,
    SamplingConfig,
    TextConfig,
    TrainingConfig,
    WatchingConfig,
)
from glide_jax.config.unets import (
    AdmConfig,
    ClassifierConfig,
    DenoiserConfig,
    GlideConfig,
    UNetConfig,
)

__all__ = [
    "BASE",
    "FAMILIES",
    "MAY_CHANGE",
    "MAY_CHANGE_BEFORE",
    "OVERRIDE",
    "TEXT_PRETRAINING",
    "AdmConfig",
    "ClassifierConfig",
    "ClipConfig",
    "ClipImageConfig",
    "ClipTextConfig",
    "DataConfig",
    "DenoiserConfig",
    "DiffusionConfig",
    "EvaluationConfig",
    "Experiment",
    "GlideConfig",
    "ModelConfig",
    "SamplingConfig",
    "StageConfig",
    "TextConfig",
    "TextPretrainingConfig",
    "TrainingConfig",
    "UNetConfig",
    "WatchingConfig",
    "conflicts",
    "differences",
    "experiment_from",
    "from_dict",
    "load_config",
    "split_overrides",
    "to_dict",
    "with_overrides",
]
