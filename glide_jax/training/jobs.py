"""From an experiment to its jobs: the data made ready, the tokenizer, each stage's model."""

import dataclasses
from pathlib import Path
from typing import Any

from glide_jax import data, text
from glide_jax.config import TEXT_PRETRAINING, Experiment, GlideConfig, StageConfig
from glide_jax.data.source import Source
from glide_jax.models.caption_guess import caption_guess
from glide_jax.text import Tokenizer, tokenize
from glide_jax.training.caption_to_picture import caption_to_picture_loss
from glide_jax.training.checkpoints import checkpoints_of, find_checkpoint
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.loop import Job, build_model, train
from glide_jax.training.objectives import OBJECTIVES, told
from glide_jax.training.starting import starting_checkpoint, starting_weights
from glide_jax.training.step import Loss
from glide_jax.training.words import Words


def make_jobs(experiment: Experiment, workdir: Path) -> list[Job]:
    """All that there is to train, one job a stage; nothing is trained yet.

    Args:
        experiment: what to train.
        workdir: where it is trained, a folder a stage. The tokenizer of checkpoints that are there
            already is used again.

    Raises:
        UserError: the data can't be made or opened, or does not say what a stage's model learns,
            or its `training.init_from` holds another model.
    """
    settings = experiment.data
    data.prepare(settings.source, settings.path)
    source = data.open_source(settings.source, settings.path, settings.split)
    tokenizer = _tokenizer(experiment, source, workdir)
    words = Words(tokenizer, experiment.text.length)
    jobs = []
    for name, stage in experiment.training_stages.items():
        model, loss = model_and_loss(name, stage, experiment, words)
        tells = told(stage, source, settings.source, words)
        job = Job(name, experiment, stage, model, source, tokenizer, workdir / name, loss, tells)
        if name != TEXT_PRETRAINING and not find_checkpoint(checkpoints_of(workdir, name)):
            start = starting_weights(name, experiment, model, tokenizer)
            job = dataclasses.replace(job, start=start)
        jobs.append(job)
    return jobs


def pretrain_text(jobs: list[Job], interrupt: Interrupt) -> list[Job]:
    """Train the first job if it is the text transformer's lesson; the other jobs, told of it.

    Args:
        jobs: as `make_jobs` gives them.
        interrupt: see `loop.train`.

    Returns:
        The jobs that draw. Weights that the lesson has under the same name and in the same shape
        are given to them: their text transformer is not trained any more.

    Raises:
        UserError, Interrupted: see `loop.train`.
    """
    first, *rest = jobs
    if first.name != TEXT_PRETRAINING:
        return jobs
    learned = train(first, interrupt, None)
    return [
        dataclasses.replace(
            job,
            given={
                path: weights
                for path, weights in learned.items()
                if path in job.model.shapes and job.model.shapes[path].shape == weights.shape
            },
        )
        for job in rest
    ]


def model_and_loss(
    name: str, stage: StageConfig, experiment: Experiment, words: Words
) -> tuple[Any, Loss]:
    """What a stage trains, of whatever family, and what it minimises."""
    lesson = experiment.text_pretraining
    if name != TEXT_PRETRAINING or lesson is None or not isinstance(stage.model, GlideConfig):
        model = build_model(stage, experiment, words.tokenizer)
        return model, OBJECTIVES[stage.model.family].loss(model, stage, words)
    assert words.tokenizer is not None
    model = caption_guess(
        stage.model,
        hidden_width=lesson.hidden_width,
        vocab_size=words.tokenizer.vocab_size,
        text_length=words.length,
    )
    return model, caption_to_picture_loss(model)


def _tokenizer(experiment: Experiment, source: Source, workdir: Path) -> Tokenizer | None:
    """That of the checkpoints there, or to start from; else one made for these captions.

    None: no stage is told a caption.
    """
    families = [stage.model.family for stage in experiment.training_stages.values()]
    if not any(OBJECTIVES[family].reads_captions for family in families):
        return None
    for name in experiment.training_stages:
        if found := find_checkpoint(checkpoints_of(workdir, name)):
            return text.from_dict(found.tokenizer)
    for name, stage in experiment.training_stages.items():
        if found := starting_checkpoint(name, stage):
            return text.from_dict(found.tokenizer)
    captions = list(data.captions(source))
    settings = experiment.text
    tokenizer = text.train(settings.tokenizer, captions, settings.vocab_size)
    cut = int(tokenize(tokenizer, captions, settings.length).cut.sum())
    if cut:
        print(f"{cut:,} captions are cut to text.length={settings.length} tokens")
    return tokenizer
