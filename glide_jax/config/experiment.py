"""An experiment: everything that defines a run, section by section."""

import dataclasses
import itertools
import re

from glide_jax.config.checks import MAX_PROCESSORS, at_least, require
from glide_jax.config.imagen import ImagenConfig
from glide_jax.config.sections import (
    DataConfig,
    EvaluationConfig,
    FrozenTextConfig,
    MonitoringConfig,
    TextConfig,
    TrainingConfig,
)
from glide_jax.config.stages import DenoiserStageConfig, GuideStageConfig, StageConfig
from glide_jax.config.unets import AdmConfig, GlideConfig
from glide_jax.errors import UserError

TEXT_PRETRAINING = "text_pretraining"
"""The section of text-encoder pretraining, and its folder in a workdir."""

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = (TEXT_PRETRAINING, "samples", "evaluation", "best", "rounds")
"""Folders of a workdir that belong to no stage."""


@dataclasses.dataclass(frozen=True)
class TextPretrainingConfig:
    """Text-encoder pretraining: what reads captions in the first stage is trained alone, before it.

    GLIDE's text transformer, or what Imagen makes of a frozen encoder's output: it predicts small
    images from captions, without a U-Net. The stages then start from its weights and keep them
    frozen.

    Attributes:
        hidden_width: channels between the caption's embedding and the predicted image.
        training: how it is trained.
    """

    hidden_width: int
    training: TrainingConfig

    def __post_init__(self):
        at_least(1, self, "hidden_width")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that defines a run.

    Attributes:
        seed: of all randomness: initial weights, order of the data, noise.
        cpu_devices: number of devices that the CPU's cores are divided into when there is no
            accelerator; each device holds a copy of the weights.
        data: the data set that every stage is trained on.
        text: how captions become tokens, or a frozen encoder's embeddings, for every stage; None:
            no stage reads captions.
        text_pretraining: text-encoder pretraining before the first stage; None: there is none.
        stages: the models by their names, in the order in which they are trained and sampled: by
            image size, each upsampler after the stage whose output it enlarges. The order in which
            a config lists them has no effect.
        prompts: captions of the sample grids; None: there are none.
        labels: classes of the sample grids, for class-conditional models; None: there are none.
        evaluation: how samples are scored; None: they are not.
        monitoring: where metrics are written.
    """

    seed: int
    cpu_devices: int
    data: DataConfig
    text: TextConfig | FrozenTextConfig | None
    text_pretraining: TextPretrainingConfig | None
    stages: dict[str, StageConfig]
    prompts: tuple[str, ...] | None
    labels: tuple[int, ...] | None
    evaluation: EvaluationConfig | None
    monitoring: MonitoringConfig

    def __post_init__(self):
        at_least(0, self, "seed", below=2**62)
        at_least(1, self, "cpu_devices", below=MAX_PROCESSORS + 1)
        # ConfigDict and some JSON writers sort their keys, so the sizes give the order.
        by_size = sorted(self.stages.items(), key=lambda item: item[1].model.image_size)
        object.__setattr__(self, "stages", dict(by_size))
        self._check_names()
        self._check_cascade()
        self._check_text()
        self._check_labels()

    @property
    def first_stage(self) -> StageConfig:
        """The first stage of the cascade."""
        return next(iter(self.stages.values()))

    @property
    def text_length(self) -> int:
        """Tokens that a caption is padded or cut to; 0: no stage reads captions."""
        return self.text.length if self.text else 0

    @property
    def samples_images(self) -> bool:
        """Whether the stages generate images; False: a guide, such as CLIP or a classifier."""
        return isinstance(self.first_stage, DenoiserStageConfig)

    @property
    def samples_anything(self) -> bool:
        """Whether the first stage is an unconditional base model, without prompts and classes."""
        model = self.first_stage.model
        return isinstance(model, AdmConfig) and model.num_classes == 0 and model.low_res_size == 0

    def only(self, *names: str) -> "Experiment":
        """The experiment of these stages alone, without text-encoder pretraining."""
        stages = {name: stage for name, stage in self.stages.items() if name in names}
        return dataclasses.replace(self, stages=stages, text_pretraining=None)

    def _check_names(self):
        require(bool(self.stages), self, "stages", "one stage or more")
        for name in self.stages:
            if name in _TAKEN or not _STAGE_NAME.fullmatch(name):
                raise UserError(
                    f"stages.{name}: not a stage's name; take lower-case letters, digits and _, "
                    f"and neither {' nor '.join(_TAKEN)}"
                )

    def _check_cascade(self):
        """Every stage after the first must enlarge what the stage before it generates."""
        for (low, smaller), (name, stage) in itertools.pairwise(self.stages.items()):
            for other, config in ((low, smaller), (name, stage)):
                if isinstance(config, GuideStageConfig):
                    raise UserError(
                        f"stages.{other}.model.family={config.model.family} can't be a stage of a "
                        "cascade: it generates no images; give it a config of its own"
                    )
            assert isinstance(stage, DenoiserStageConfig)
            if stage.model.low_res_size != smaller.model.image_size:
                raise UserError(
                    f"stages.{name}.model.low_res_size must be stages.{low}.model.image_size, "
                    f"{smaller.model.image_size}, not {stage.model.low_res_size}"
                )

    def _check_text(self):
        readers = [name for name, stage in self.stages.items() if stage.model.reads_captions]
        if readers and self.text is None:
            raise UserError(
                f"text is missing, and stages.{readers[0]} reads captions; give it a tokenizer, "
                "vocab_size and length"
            )
        self._check_text_kind(readers)
        self._check_pretraining()
        if not readers:
            family = self.first_stage.model.family
            for name in ("text", "prompts"):
                what = f"left out: a model of family {family!r} reads no captions"
                require(getattr(self, name) is None, self, name, what)
        model = self.first_stage.model
        if self.text_pretraining is not None and not isinstance(model, GlideConfig | ImagenConfig):
            raise UserError(
                f"text_pretraining must be left out: model.family={model.family} has nothing "
                "that it would train; glide and imagen have"
            )

    def _check_pretraining(self):
        """The text encoder of what adapters and distillation start from is trained already."""
        for name, stage in self.stages.items():
            for key in ("adapter", "distillation"):
                if getattr(stage.training, key, None) and self.text_pretraining:
                    raise UserError(
                        f"text_pretraining must be left out: stages.{name}.training.{key} starts "
                        "from a model whose text encoder is trained already"
                    )

    def _check_text_kind(self, readers: list[str]):
        """Every stage must read what `text` makes of a caption."""
        is_frozen = isinstance(self.text, FrozenTextConfig)
        for name in readers:
            model = self.stages[name].model
            if model.reads_embeddings != is_frozen:
                wants, keys = ("a frozen encoder's embeddings", FrozenTextConfig)
                if is_frozen:
                    wants, keys = "tokens", TextConfig
                raise UserError(
                    f"text: stages.{name}.model.family={model.family} reads {wants}; its keys must "
                    f"be {', '.join(field.name for field in dataclasses.fields(keys))}"
                )

        models = [self.stages[name].model for name in readers] if is_frozen else []
        widths = {getattr(model, "encoder_width", 0) for model in models}
        if len(widths) > 1:
            raise UserError(
                f"stages.*.model.encoder_width must be the text encoder's width in all stages, not "
                f"{' and '.join(map(str, sorted(widths)))}"
            )

    def _check_labels(self):
        model = self.first_stage.model
        count = model.num_classes if isinstance(model, AdmConfig) else 0
        if not count:
            what = f"left out: model.family={model.family} samples no classes"
            require(self.labels is None, self, "labels", what)
            return
        known = all(0 <= label < count for label in self.labels or ())
        require(known, self, "labels", f"from 0 to {count - 1} each, as model.num_classes has it")
