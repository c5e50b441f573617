"""The jobs of a stage's rounds of distillation, which of them are left, and their teachers."""

import dataclasses

import numpy as np

from glide_jax.checkpoints import CHECKPOINTS, find_checkpoint
from glide_jax.diffusion.distillation import halving
from glide_jax.diffusion.schedule import BETAS
from glide_jax.diffusion.timesteps import among
from glide_jax.errors import UserError
from glide_jax.models.model import Model
from glide_jax.progress import say
from glide_jax.training.initialization import initial_teacher, student_params
from glide_jax.training.job import Job
from glide_jax.training.objectives import OBJECTIVES
from glide_jax.training.objectives.distilled import distillation_loss
from glide_jax.training.rounds import Round


def distilled(job: Job, taught: Round, teacher: Model) -> Job:
    """A stage's job as a round of distillation, at the timesteps that it learns.

    Args:
        job: of the stage as of this round.
        taught: the round.
        teacher: its teacher's model, without weights.

    Raises:
        UserError: the model's family can't be distilled.
    """
    condition = OBJECTIVES[taught.stage.model.family].condition
    if condition is None:
        raise UserError(
            f"{job.section}.training.distillation must be left out: it is not written for models "
            f"of family {taught.stage.model.family!r}"
        )
    null = job.reader.read([""]).arrays if job.reader else {}
    loss = distillation_loss(job.model, teacher, taught, condition(taught.stage, job.reader), null)
    timesteps, diffusion = job.timesteps, taught.stage.diffusion
    if taught.num_steps is not None:
        steps = halving(BETAS[diffusion.schedule](diffusion.num_steps), taught.num_steps)
        timesteps = among(np.asarray(steps.student.timesteps), diffusion.num_steps)
    return dataclasses.replace(job, loss=loss, timesteps=timesteps, teacher=teacher, round=taught)


def rounds_left(job: Job) -> tuple[Job, ...]:
    """The rounds of a job that are still to be trained, the job itself last.

    A round that a later one has begun from is complete: training it on would change its student's
    teacher.
    """
    rounds = (*job.earlier, job)
    has_begun = [bool(find_checkpoint(one.directory / CHECKPOINTS)) for one in rounds]
    return rounds[max((place for place, begun in enumerate(has_begun) if begun), default=0) :]


def with_teacher(job: Job) -> Job:
    """A round with its teacher and, before its first step, the weights that it starts from.

    Args:
        job: of `distilled`, whose teacher is complete.

    Raises:
        UserError: the teacher is not there, or another model than the config describes.
    """
    assert job.teacher is not None
    assert job.round is not None
    teacher = initial_teacher(job.name, job.experiment, job.round, job.teacher, job.reader)
    say(f"{job.title}: taught by the weights of {teacher.path}")
    job = dataclasses.replace(job, base=teacher)
    if find_checkpoint(job.directory / CHECKPOINTS):
        return job
    return dataclasses.replace(job, initial_params=student_params(teacher, job.model))
