"""What a student learns of its teacher: guidance in one evaluation, two DDIM steps in one.

Progressive distillation (Salimans & Ho 2022, algorithm 2 and app. G). A DDIM step from t to s is
x_s = α_s x_0_hat + σ_s / σ_t (x_t - α_t x_0_hat), where α² = alpha_bar and σ² = 1 - alpha_bar. The
teacher takes two, from x_t to x_s. The student takes one, and lands there if its x_0_hat is

    x_0_target = (x_s - σ_s / σ_t x_t) / (α_s - σ_s / σ_t α_t),                              (a)

which at the last step, where s is the image, is x_s itself.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.diffusion.gaussian import PREDICTIONS, at, eps_from_x_0, split_output, x_0_hat_of
from glide_jax.diffusion.losses import Weighting
from glide_jax.diffusion.samplers.sampler import evaluate, x_prev_from
from glide_jax.diffusion.schedule import TRAILING, Schedule, kept_timesteps, make_schedule
from glide_jax.types import Array, Denoiser


class Halving(NamedTuple):
    """The steps of a round of progressive distillation.

    Attributes:
        student: S steps.
        teacher: 2 S steps, of which every second is the student's.
    """

    student: Schedule
    teacher: Schedule


def halving(betas: np.ndarray, num_steps: int) -> Halving:
    """The steps that a student of num_steps takes, `trailing{num_steps}`, and its teacher's.

    Args:
        betas: f64[T] in (0, 1), of the original schedule.
        num_steps: S, the student's.

    Raises:
        UserError: the teacher's 2 S are more than T.
    """

    def taken(count: int) -> Schedule:
        return make_schedule(betas, kept_timesteps(f"{TRAILING}{count}", betas))

    return Halving(taken(num_steps), taken(2 * num_steps))


def guidance_target(guided: Denoiser, schedule: Schedule, x_t: Array, t: Array) -> Array:
    """x_0_hat of a guided teacher, the target of the student's (Meng et al. 2023, sec. 3.1).

    Args:
        guided: the teacher, its guidance and thresholds around it.
        schedule: the full one that it was trained on.
        x_t: f32[b h w c].
        t: i32[b].

    Returns:
        f32[b h w c].
    """
    return x_0_hat_of(schedule, t, x_t, guided(x_t, t))


def two_steps(denoiser: Denoiser, steps: Halving, i: Array, x_t: Array) -> Array:
    """x_s after two of the teacher's DDIM steps, those that the student's step i stands for.

    Args:
        denoiser: the teacher.
        steps: of both.
        i: i32[b], in [0, S): the student's step of each image.
        x_t: f32[b h w c].

    Returns:
        f32[b h w c].
    """

    def step(x_t: Array, place: Array) -> tuple[Array, None]:
        prediction, x_0_hat = evaluate(denoiser, steps.teacher, place, x_t)
        return x_prev_from(steps.teacher, place, x_0_hat, prediction.eps), None

    # A loop: unrolled, a large teacher would be compiled twice.
    return jax.lax.scan(step, x_t, jnp.stack([2 * i + 1, 2 * i]))[0]


def x_0_between(schedule: Schedule, i: Array, x_t: Array, x_s: Array) -> Array:
    """The x_0_hat with which one DDIM step leads from x_t to x_s, by (a).

    Args:
        schedule: of the S steps that are taken.
        i: i32[b], in [0, S).
        x_t: f32[b h w c], before step i.
        x_s: f32[b h w c], after it.

    Returns:
        f32[b h w c].
    """
    left = jnp.sqrt(at(schedule.one_minus_alpha_bar_prev, i, x_t))
    ratio = left / at(schedule.sqrt_one_minus_alpha_bar, i, x_t)
    signal = jnp.sqrt(at(schedule.alpha_bar_prev, i, x_t))
    return (x_s - ratio * x_t) / (signal - ratio * at(schedule.sqrt_alpha_bar, i, x_t))


def progressive_target(denoiser: Denoiser, steps: Halving, x_t: Array, t: Array) -> Array:
    """The target of a student's x_0_hat (Salimans & Ho 2022, algorithm 2).

    Args:
        denoiser: the teacher, thresholds around it.
        steps: of both.
        x_t: f32[b h w c].
        t: i32[b], among the student's timesteps.

    Returns:
        f32[b h w c].
    """
    i = jnp.searchsorted(steps.student.timesteps, t)
    return x_0_between(steps.student, i, x_t, two_steps(denoiser, steps, i, x_t))


def distillation_terms(
    output: Array,
    schedule: Schedule,
    prediction: str,
    t: Array,
    x_t: Array,
    target: Array,
    weighting: Weighting,
) -> dict[str, Array]:
    """The losses of a student's output; training minimises `hybrid`.

    Args:
        output: the student's, [b h w c].
        schedule: the full one.
        prediction: a name in PREDICTIONS, what the student predicts.
        t: i32[b].
        x_t: f32[b h w c], the student's input.
        target: f32[b h w c], of its x_0_hat.
        weighting: of the squared error over noise levels.

    Returns:
        f32[b] each:
        mse: squared error of the output against what says the same as the target, mean over h w c;
        hybrid: weight · mse, as if the weight were x_0_hat's.
    """
    value, _ = split_output(output, x_t.shape[-1])
    eps = eps_from_x_0(schedule, t, x_t, target)
    own = PREDICTIONS[prediction].target(schedule, t, target, eps)
    mse = jnp.square(own - value).mean(axis=tuple(range(1, x_t.ndim)))
    return {"mse": mse, "hybrid": weighting(prediction, schedule.log_snr[t]) * mse}
