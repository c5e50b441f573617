"""A job: one model to train, and everything that training it needs."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from glide_jax.checkpoints import Checkpoint, DataSet
from glide_jax.config import Experiment, StageConfig, TrainingConfig
from glide_jax.data.conditioning import Conditioning
from glide_jax.data.source import Source
from glide_jax.diffusion.timesteps import Timesteps
from glide_jax.errors import UserError
from glide_jax.models.lora import Lora
from glide_jax.models.model import Model
from glide_jax.text.reader import CaptionReader
from glide_jax.training.batch import BatchShapes, pipeline_shapes, step_shapes
from glide_jax.training.objectives.distilled import as_teacher
from glide_jax.training.objectives.loss import Loss
from glide_jax.training.rounds import Round
from glide_jax.training.step import num_microbatches
from glide_jax.types import Params

Mfu = Callable[[float], float]
"""Steps per second → model FLOP utilisation, as `planning.cost.Cost.mfu`."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One model to train: a stage's, or the text encoder's pretraining.

    Attributes:
        name: its folder in the workdir.
        section: its section of the config, such as `stages.base`, for error messages.
        experiment: the complete experiment, which is stored in the checkpoints.
        stage: the stage's config; None: this is text-encoder pretraining.
        training: how the model is trained.
        model: a model of any family.
        loss: what is minimised.
        timesteps: how the timesteps that images are noised to are sampled.
        compares_examples: whether an image's loss depends on the other images of its batch, so
            that the batch can't be split into microbatches.
        source: the data set.
        data_set: what the checkpoints record of it.
        conditioning: what its batches hold beside images.
        reader: of the captions; None: no model of the experiment reads captions.
        directory: where its checkpoints and metrics are written.
        frozen_params: weights by path that stay as they are.
        initial_params: weights by path to start from; all others are random.
        mfu: computes the utilisation that is reported; None: none is.
        adapter: what is trained in place of the model's weights; None: they are.
        teacher: whose student the model is; None: it learns from the data alone.
        base: holds the weights that the adapter changes, or the teacher's; None: there are none, or
            the job is not going to be trained here.
        round: of distillation; None: there is none.
        earlier: the rounds before it, in their order.
    """

    name: str
    section: str
    experiment: Experiment
    stage: StageConfig | None
    training: TrainingConfig
    model: Any
    loss: Loss
    timesteps: Timesteps
    compares_examples: bool
    source: Source
    data_set: DataSet
    conditioning: Conditioning
    reader: CaptionReader | None
    directory: Path
    frozen_params: Params = dataclasses.field(default_factory=dict)
    initial_params: Params = dataclasses.field(default_factory=dict)
    mfu: Mfu | None = None
    adapter: Lora | None = None
    teacher: Model | None = None
    base: Checkpoint | None = None
    round: Round | None = None
    earlier: tuple["Job", ...] = ()

    @property
    def title(self) -> str:
        """What people read it as."""
        return f"{self.name}, round {self.round.name}" if self.round else self.name

    @property
    def trained(self) -> Any:
        """What has the `shapes` and the `init` of the weights in the state."""
        return self.adapter or self.model

    @property
    def base_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The weights that the loss reads beside the state's: an adapter's base, the teacher's."""
        if self.teacher:
            return as_teacher(self.teacher.shapes)
        return dict(self.model.shapes) if self.adapter else {}

    @property
    def loss_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """All weights that the loss reads."""
        return self.base_shapes | self.trained.shapes

    @property
    def crop_size(self) -> int:
        """Pixels a side of the part of each image that is trained on; 0: all of it."""
        return getattr(self.training, "crop_size", 0)

    def pipeline_shapes(self, count: int) -> BatchShapes:
        """The shapes of a batch of `count` images as the input pipeline returns it."""
        size = self.crop_size or self.model.config.image_size
        return pipeline_shapes(size, self.conditioning, count)

    def step_shapes(self, count: int) -> BatchShapes:
        """The shapes of a batch of `count` images as the loss receives it."""
        size = self.crop_size or self.model.config.image_size
        return step_shapes(size, self.conditioning, count)


@dataclasses.dataclass(frozen=True)
class Jobs:
    """The jobs of an experiment.

    Attributes:
        text_pretraining: text-encoder pretraining, which comes first; None: there is none.
        stages: the stages in the order in which they are trained.
    """

    text_pretraining: Job | None
    stages: tuple[Job, ...]

    @property
    def in_order(self) -> tuple[Job, ...]:
        """All jobs, the rounds of distillation each, in the order in which they are trained."""
        stages = [job for stage in self.stages for job in (*stage.earlier, stage)]
        return (*([self.text_pretraining] if self.text_pretraining else []), *stages)

    def map(self, change: Callable[[Job], Job]) -> "Jobs":
        """The same jobs, each changed, in the order in which they are trained."""
        pretraining = self.text_pretraining and change(self.text_pretraining)
        earlier = [tuple(map(change, job.earlier)) for job in self.stages]
        pairs = zip(self.stages, earlier, strict=True)
        stages = (dataclasses.replace(change(job), earlier=before) for job, before in pairs)
        return Jobs(pretraining, tuple(stages))


def check_batch(
    section: str, training: TrainingConfig, devices: int, *, compares_examples: bool
) -> None:
    """Check that a batch can be split over the devices, and then into microbatches.

    Args:
        section: the job's section of the config, such as `stages.base`.
        training: its batch and microbatch sizes.
        devices: number of devices that share a batch.
        compares_examples: see `Job`.

    Raises:
        UserError: it can't be split so.
    """
    batch, microbatch = training.batch_size, training.microbatch_size
    if batch % devices:
        raise UserError(
            f"{section}.training.batch_size={batch} is not divisible by the {devices} devices; "
            f"the nearest that is: {max(1, round(batch / devices)) * devices}"
        )
    if microbatch and batch // devices % microbatch:
        raise UserError(
            f"{section}.training.microbatch_size={microbatch} does not divide the "
            f"{batch // devices} images of a device ({batch} over {devices} devices)"
        )
    if compares_examples and num_microbatches(training, devices) > 1:
        raise UserError(
            f"{section}.training.microbatch_size must be 0: its loss compares the examples "
            "of a batch with each other"
        )
