"""From an experiment to its jobs: prepare the data, make the tokenizer, the models and losses."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from glide_jax.checkpoints import CHECKPOINTS, DataSet, find_checkpoint, refuse_other_data
from glide_jax.config import (
    TEXT_PRETRAINING,
    Experiment,
    GlideConfig,
    ImagenConfig,
    StageConfig,
    TextPretrainingConfig,
)
from glide_jax.data.conditioning import caption_conditioning
from glide_jax.data.source import Source
from glide_jax.diffusion.timesteps import TIMESTEPS, not_noised
from glide_jax.errors import UserError, a_few
from glide_jax.models.caption_guesser import caption_guesser
from glide_jax.models.families import model_of
from glide_jax.models.lora import lora_of
from glide_jax.parallel.collectives import unlike_first
from glide_jax.text.reader import CaptionReader
from glide_jax.training.caption_reader import make_reader
from glide_jax.training.distilling import distilled, rounds_left, with_teacher
from glide_jax.training.initialization import adapter_base, initial_params
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.job import Job, Jobs, check_batch
from glide_jax.training.loop import train
from glide_jax.training.objectives import OBJECTIVES, conditioning_of
from glide_jax.training.objectives.adapted import adapted_loss
from glide_jax.training.objectives.text_pretraining import text_pretraining_loss
from glide_jax.training.rounds import check_distillation, rounds_of
from glide_jax.training.run_data import keep_data, open_data


def check_batches(experiment: Experiment, devices: int) -> None:
    """Check that every batch of an experiment can be split over `devices` devices.

    Raises:
        UserError: one of them can't.
    """
    if pretraining := experiment.text_pretraining:
        check_batch(TEXT_PRETRAINING, pretraining.training, devices, compares_examples=True)
    for name, stage in experiment.stages.items():
        compares = OBJECTIVES[stage.model.family].compares_examples
        check_batch(f"stages.{name}", stage.training, devices, compares_examples=compares)


def make_jobs(experiment: Experiment, workdir: Path) -> Jobs:
    """The jobs of an experiment, ready to train; prepares the data and makes what reads captions.

    Args:
        experiment: what to train.
        workdir: each job gets a folder in it. The tokenizer of checkpoints that are there already
            is used again; a frozen text encoder's embeddings are written there.

    Raises:
        UserError: the data can't be prepared or opened, they lack what a model learns from, they
            differ between the processes of a run, they are not those of the checkpoints that are
            there, or a stage's `training.init_from` holds a different model.
    """
    found = open_data(experiment, workdir)
    source = found.source
    _check_alike(source)
    reader = make_reader(experiment, source, workdir)
    jobs = build_jobs(experiment, source, reader, workdir)
    for job in jobs.in_order:
        refuse_other_data(job.directory / CHECKPOINTS, experiment, job.data_set)
    keep_data(found)
    return dataclasses.replace(jobs, stages=tuple(map(_with_first_weights, jobs.stages)))


def _check_alike(source: Source) -> None:
    """Raise UserError unless all processes of a run have opened the same data."""
    if others := unlike_first(f"{len(source)} {source.fingerprint}"):
        raise UserError(
            f"processes {a_few([str(i) for i in others])} have opened other data than the first "
            f"one; process {jax.process_index()} has {len(source)} images: data.path must be the "
            "same for all, or one can't read a shard that others can; start them again"
        )


def build_jobs(
    experiment: Experiment, source: Source, reader: CaptionReader | None, workdir: Path
) -> Jobs:
    """The jobs of an experiment for a data set and a reader; no weight is made or read.

    Args:
        experiment: what to train.
        source: the data set.
        reader: of the captions; None: no stage reads captions.
        workdir: each job gets a folder in it.
    """
    data_set = DataSet(source.fingerprint, len(source))
    shared = experiment, source, data_set, reader, workdir
    pretraining = experiment.text_pretraining
    return Jobs(
        text_pretraining=_pretraining_job(pretraining, *shared) if pretraining else None,
        stages=tuple(_stage_job(name, stage, *shared) for name, stage in experiment.stages.items()),
    )


def pretrain_text(jobs: Jobs, interrupt: Interrupt) -> tuple[Job, ...]:
    """Run text-encoder pretraining, if there is any, and give its weights to the stages.

    Args:
        jobs: of `make_jobs`.
        interrupt: see `loop.train`.

    Returns:
        The stages' jobs. Weights of the pretrained text encoder that have the same path and shape
        in a stage's model are frozen there.

    Raises:
        UserError, Interrupted: see `loop.train`.
    """
    if jobs.text_pretraining is None:
        return jobs.stages
    return with_frozen(jobs.stages, train(jobs.text_pretraining, interrupt, None))


def with_frozen(jobs: Sequence[Job], learned: Mapping[str, Any]) -> tuple[Job, ...]:
    """Jobs, of each of which the weights of the same path and shape are frozen.

    Args:
        jobs: of stages.
        learned: path → weights, or their shapes.
    """

    def frozen_in(job: Job) -> Any:
        return {
            path: weights
            for path, weights in learned.items()
            if path in job.model.shapes and job.model.shapes[path].shape == weights.shape
        }

    return tuple(dataclasses.replace(job, frozen_params=frozen_in(job)) for job in jobs)


def after_first(jobs: Jobs) -> tuple[Job, ...]:
    """The jobs after the first, with the shapes of what text-encoder pretraining freezes."""
    first = jobs.text_pretraining
    if first is None:
        return jobs.in_order[1:]
    return with_frozen(jobs.in_order[1:], first.trained.shapes)


def _job(
    name: str,
    stage: StageConfig,
    experiment: Experiment,
    source: Source,
    data_set: DataSet,
    reader: CaptionReader | None,
    workdir: Path,
) -> Job:
    model = _model(stage, experiment, reader)
    objective = OBJECTIVES[stage.model.family]
    loss, settings = objective.loss(model, stage, reader), getattr(stage.training, "adapter", None)
    adapter = lora_of(model.shapes, settings) if settings else None
    return Job(
        name=name,
        section=f"stages.{name}",
        experiment=experiment,
        stage=stage,
        training=stage.training,
        model=model,
        loss=adapted_loss(loss, adapter) if adapter else loss,
        timesteps=TIMESTEPS[stage.diffusion.timesteps](stage.diffusion.num_steps),
        compares_examples=objective.compares_examples,
        source=source,
        data_set=data_set,
        conditioning=conditioning_of(stage, source, experiment.data.source, reader),
        reader=reader,
        directory=workdir / name,
        adapter=adapter,
    )


def _model(stage: StageConfig, experiment: Experiment, reader: CaptionReader | None) -> Any:
    vocab_size = reader.vocab_size if reader else 0
    return model_of(stage, vocab_size=vocab_size, text_length=experiment.text_length)


def _stage_job(
    name: str,
    stage: StageConfig,
    experiment: Experiment,
    source: Source,
    data_set: DataSet,
    reader: CaptionReader | None,
    workdir: Path,
) -> Job:
    check_distillation(f"stages.{name}", stage)
    if not getattr(stage.training, "distillation", None):
        return _job(name, stage, experiment, source, data_set, reader, workdir)
    jobs = []
    for taught in rounds_of(name, experiment, workdir):
        shared = source, data_set, reader, taught.workdir
        job = _job(name, taught.stage, taught.experiment, *shared)
        jobs.append(distilled(job, taught, _model(taught.teacher, experiment, reader)))
    return dataclasses.replace(jobs[-1], earlier=tuple(jobs[:-1]))


def _pretraining_job(
    config: TextPretrainingConfig,
    experiment: Experiment,
    source: Source,
    data_set: DataSet,
    reader: CaptionReader | None,
    workdir: Path,
) -> Job:
    stage = experiment.first_stage
    assert isinstance(stage.model, GlideConfig | ImagenConfig)
    assert reader is not None
    model = caption_guesser(
        stage.model,
        hidden_width=config.hidden_width,
        vocab_size=reader.vocab_size,
        text_length=reader.length,
    )
    return Job(
        name=TEXT_PRETRAINING,
        section=TEXT_PRETRAINING,
        experiment=experiment,
        stage=None,
        training=config.training,
        model=model,
        loss=text_pretraining_loss(model),
        timesteps=not_noised(stage.diffusion.num_steps),
        compares_examples=True,
        source=source,
        data_set=data_set,
        conditioning=caption_conditioning(reader),
        reader=reader,
        directory=workdir / TEXT_PRETRAINING,
    )


def _with_first_weights(job: Job) -> Job:
    """The job, and its earlier rounds; what is there before the run starts is found now."""
    if not job.earlier:
        return with_weights(job)
    if len(rounds_left(job)) > len(job.earlier):
        first, *others = job.earlier
        return dataclasses.replace(job, earlier=(with_weights(first), *others))
    return job


def ready(job: Job) -> Job:
    """The job, a later round of distillation with its teacher, which is there by now.

    Raises:
        UserError: see `with_weights`.
    """
    return with_weights(job) if job.teacher and job.base is None else job


def with_weights(job: Job) -> Job:
    """The job with the weights of its `training.init_from`.

    Of a job that has a checkpoint already only an adapter and a student still need them.

    Raises:
        UserError: they are not there, or of a different model.
    """
    if job.teacher is not None:
        return with_teacher(job)
    start = job.name, job.experiment, job.model, job.reader
    if job.adapter is not None:
        return dataclasses.replace(job, base=adapter_base(*start))
    if find_checkpoint(job.directory / CHECKPOINTS):
        return job
    return dataclasses.replace(job, initial_params=initial_params(*start))
