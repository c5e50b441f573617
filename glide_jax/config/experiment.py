"""All there is to say of a run, section by section."""

import dataclasses

from glide_jax.config.checks import at_least
from glide_jax.config.families import ModelConfig
from glide_jax.config.sections import (
    DataConfig,
    DiffusionConfig,
    EvaluationConfig,
    SamplingConfig,
    TextConfig,
    TrainingConfig,
)
from glide_jax.config.unets import DenoiserConfig
from glide_jax.errors import UserError

BASE = "base"
"""The name of the first stage."""


@dataclasses.dataclass(frozen=True)
class StageConfig:
    """One stage of a cascade: a model of its own, trained on its own."""

    model: ModelConfig
    diffusion: DiffusionConfig
    training: TrainingConfig
    sampling: SamplingConfig


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All there is to say of a run.

    Attributes:
        seed: of everything random: weights, order of the data, noise.
        data, text: shared by the stages.
        model, diffusion, training, sampling: the first stage.
        prompts: captions of the sample grids.
        evaluation: what is measured.
        upsampler: the second stage, or None.
    """

    seed: int
    data: DataConfig
    text: TextConfig
    model: ModelConfig
    diffusion: DiffusionConfig
    training: TrainingConfig
    sampling: SamplingConfig
    prompts: tuple[str, ...]
    evaluation: EvaluationConfig
    upsampler: StageConfig | None

    @property
    def stages(self) -> dict[str, StageConfig]:
        """Every stage by its name, in the order in which they draw."""
        base = StageConfig(self.model, self.diffusion, self.training, self.sampling)
        return {BASE: base} | ({"upsampler": self.upsampler} if self.upsampler else {})

    def __post_init__(self):
        at_least(0, self, "seed")
        if self.upsampler is not None:
            _check_cascade(self.model, self.upsampler.model)


def _check_cascade(first: ModelConfig, second: ModelConfig) -> None:
    """Raises UserError unless the second model enlarges what the first draws."""
    if not (isinstance(first, DenoiserConfig) and isinstance(second, DenoiserConfig)):
        raise UserError(
            f"model.family={first.family} and upsampler.model.family={second.family} "
            "can't be put together: one of them draws no pictures"
        )
    if second.low_res_size != first.image_size:
        raise UserError(
            f"upsampler.model.low_res_size must be model.image_size, {first.image_size}, "
            f"not {second.low_res_size}"
        )
