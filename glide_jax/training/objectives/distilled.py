"""The loss of a student: the error of its x_0_hat against what its teacher makes of x_t."""

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.diffusion.distillation import (
    distillation_terms,
    guidance_target,
    halving,
    progressive_target,
)
from glide_jax.diffusion.gaussian import denoiser_from, q_sample
from glide_jax.diffusion.guidance import classifier_free, thresholded
from glide_jax.diffusion.losses import WEIGHTINGS
from glide_jax.diffusion.schedule import BETAS, Schedule, make_schedule
from glide_jax.models.model import Model
from glide_jax.training.batch import Batch
from glide_jax.training.example_rng import ExampleRng
from glide_jax.training.objectives.denoising import ConditionFn, full_condition
from glide_jax.training.objectives.loss import Loss, LossAux
from glide_jax.training.rounds import Round
from glide_jax.types import Array, Condition, Denoiser, Params

T = TypeVar("T")

TEACHER = "teacher."
"""What the paths of the teacher's weights begin with, among the student's."""


def as_teacher(weights: Mapping[str, T]) -> dict[str, T]:
    """Weights by the paths that they have as the teacher's."""
    return {f"{TEACHER}{path}": x for path, x in weights.items()}


def of_teacher(weights: Mapping[str, T]) -> dict[str, T]:
    """The teacher's among the weights, by the paths of its model; the inverse of `as_teacher`."""
    own = weights.items()
    return {path.removeprefix(TEACHER): x for path, x in own if path.startswith(TEACHER)}


def distillation_loss(
    student: Model,
    teacher: Model,
    taught: Round,
    condition_of: ConditionFn,
    null_caption: Mapping[str, np.ndarray],
) -> Loss:
    """The loss of a round of distillation, of the student's and the teacher's weights in one dict.

    The teacher is evaluated as sampling would: with thresholds, and in a round of guidance with
    classifier-free guidance of a scale that is uniform over the student's `guidance_range`, which
    the student is conditioned on (Meng et al. 2023, sec. 3.1). See `diffusion.distillation`.

    Args:
        student: the model to train.
        teacher: the model that it learns from.
        taught: the round.
        condition_of: makes the condition of both, the low-res image excepted.
        null_caption: arrays of one null caption; {}: the models read none.
    """
    diffusion, scales = taught.stage.diffusion, getattr(student.config, "guidance_range", ())
    betas = BETAS[diffusion.schedule](diffusion.num_steps)
    schedule, weighting = make_schedule(betas), WEIGHTINGS[diffusion.weighting]
    steps = None if taught.num_steps is None else halving(betas, taught.num_steps)

    def threshold(denoiser: Denoiser) -> Denoiser:
        own = taught.stage.sampling
        return thresholded(denoiser, schedule, own.dynamic_threshold, own.threshold_cap)

    def loss(params: Params, batch: Batch, key: Array):
        rng = ExampleRng(key, batch["index"])
        x_0, t = batch["image"], batch["t"]
        condition = full_condition(student, taught.stage, condition_of, batch, rng)
        if scales:
            low, high = scales
            scale = low + (high - low) * rng.uniform("guidance_scale")
            condition = dataclasses.replace(condition, guidance_scale=scale)
        x_t = q_sample(schedule, t, x_0, rng.normal("noise", x_0.shape[1:]))
        weights = of_teacher(params)
        prediction = taught.teacher.diffusion.prediction
        if steps is None:
            guided = _guided(teacher, weights, schedule, prediction, condition, null_caption)
            target = guidance_target(threshold(guided), schedule, x_t, t)
        else:
            plain = _denoiser(teacher, weights, schedule, prediction, condition)
            target = progressive_target(threshold(plain), steps, x_t, t)
        own = {path: x for path, x in params.items() if not path.startswith(TEACHER)}
        encoded = student.encode(own, condition)
        output = student.apply(own, x_t, t, encoded, rng.keys("dropout"))
        target = jax.lax.stop_gradient(target)
        terms = distillation_terms(
            output, schedule, diffusion.prediction, t, x_t, target, weighting
        )
        means = {name: (batch["t_weight"] * value).mean() for name, value in terms.items()}
        return means.pop("hybrid"), LossAux(means, terms["hybrid"])

    return loss


def _denoiser(
    model: Model, weights: Params, schedule: Schedule, prediction: str, condition: Condition
) -> Denoiser:
    encoded = model.encode(weights, condition)
    return denoiser_from(lambda x_t, t: model.apply(weights, x_t, t, encoded), schedule, prediction)


def _guided(
    model: Model,
    weights: Params,
    schedule: Schedule,
    prediction: str,
    condition: Condition,
    null_caption: Mapping[str, np.ndarray],
) -> Denoiser:
    """The model with classifier-free guidance of the condition's scale."""
    scale = condition.guidance_scale
    assert scale is not None
    condition = dataclasses.replace(condition, guidance_scale=None)
    rows = {
        name: jnp.broadcast_to(x, (len(scale), *x.shape[1:])) for name, x in null_caption.items()
    }
    null = dataclasses.replace(condition, **rows)
    both = jax.tree.map(lambda *halves: jnp.concatenate(halves), condition, null)
    return classifier_free(_denoiser(model, weights, schedule, prediction, both), scale)
