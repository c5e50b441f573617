"""All there is to say of a run, section by section."""

import dataclasses

from glide_jax.config.checks import at_least, require
from glide_jax.config.families import ModelConfig
from glide_jax.config.sections import (
    DataConfig,
    DiffusionConfig,
    EvaluationConfig,
    SamplingConfig,
    TextConfig,
    TrainingConfig,
    WatchingConfig,
)
from glide_jax.config.unets import AdmConfig, DenoiserConfig, GlideConfig
from glide_jax.errors import UserError

BASE = "base"
"""The name of the first stage."""

TEXT_PRETRAINING = "text_pretraining"
"""The name of the lesson before it."""


@dataclasses.dataclass(frozen=True)
class StageConfig:
    """One stage of a cascade: a model of its own, trained on its own."""

    model: ModelConfig
    diffusion: DiffusionConfig
    training: TrainingConfig
    sampling: SamplingConfig


@dataclasses.dataclass(frozen=True)
class TextPretrainingConfig:
    """The text transformer's lesson, without a U-Net: to guess a picture from its caption.

    It costs little, and the U-Nets, which begin when it is over and leave it as it is, are told
    what a caption means from their first step.

    Attributes:
        hidden_width: channels between a caption's vector and the guess.
        training: of this lesson.
    """

    hidden_width: int
    training: TrainingConfig

    def __post_init__(self):
        at_least(1, self, "hidden_width")
        if self.training.init_from:
            raise UserError(
                "training.init_from must be empty: a lesson begins from nothing; to begin from "
                "what was learned, set text_pretraining=none and the stage's own training.init_from"
            )


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All there is to say of a run.

    Attributes:
        seed: of everything random: weights, order of the data, noise.
        cpu_devices: how many devices a CPU's cores are divided into, where there is nothing but a
            CPU. Steps of small pictures use the cores better so; each device holds all weights.
        data, text: shared by the stages.
        text_pretraining: what comes before the first stage, or None.
        model, diffusion, training, sampling: the first stage.
        prompts: captions of the sample grids.
        labels: classes of the sample grids, where the model is told one in the place of a caption.
        evaluation: what is measured.
        watching: where its figures go.
        upsampler: the second stage, or None.
    """

    seed: int
    cpu_devices: int
    data: DataConfig
    text: TextConfig
    text_pretraining: TextPretrainingConfig | None
    model: ModelConfig
    diffusion: DiffusionConfig
    training: TrainingConfig
    sampling: SamplingConfig
    prompts: tuple[str, ...]
    labels: tuple[int, ...]
    evaluation: EvaluationConfig
    watching: WatchingConfig
    upsampler: StageConfig | None

    @property
    def stages(self) -> dict[str, StageConfig]:
        """Every stage that draws by its name, in the order in which they do."""
        base = StageConfig(self.model, self.diffusion, self.training, self.sampling)
        return {BASE: base} | ({"upsampler": self.upsampler} if self.upsampler else {})

    @property
    def training_stages(self) -> dict[str, StageConfig]:
        """Every stage that is trained by its name, in the order in which they are."""
        if self.text_pretraining is None:
            return self.stages
        lesson = self.text_pretraining.training
        first = StageConfig(self.model, self.diffusion, lesson, self.sampling)
        return {TEXT_PRETRAINING: first} | self.stages

    def __post_init__(self):
        at_least(0, self, "seed")
        at_least(1, self, "cpu_devices")
        if self.text_pretraining is not None and not isinstance(self.model, GlideConfig):
            raise UserError(
                f"model.family={self.model.family} has no text transformer to train alone; "
                "set text_pretraining=none"
            )
        self._check_labels()
        if self.upsampler is not None:
            _check_cascade(self.model, self.upsampler.model)

    def _check_labels(self):
        count = self.model.num_classes if isinstance(self.model, AdmConfig) else 0
        if not count:
            what = f"empty: model.family={self.model.family} is asked for no class"
            require(not self.labels, self, "labels", what)
            return
        known = all(0 <= label < count for label in self.labels)
        require(known, self, "labels", f"from 0 to {count - 1} each, as model.num_classes has it")
        what = "empty: the model is told a class, see labels"
        require(not self.prompts, self, "prompts", what)


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
