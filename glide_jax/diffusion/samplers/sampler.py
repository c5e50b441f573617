"""The Sampler interface, and helpers of several samplers."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp

from glide_jax.diffusion.gaussian import at, x_0_hat_of
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser, Prediction

Noise = Callable[[Array | int], Array]
"""k → f32[b h w c], the k-th independent standard normal sample of this step. Most samplers use
noise(0) only."""


class Sampler(NamedTuple):
    """How one step of the reverse process is taken.

    Attributes:
        init: x_T: f32[b h w c] → the initial state, a pytree of arrays; () for a sampler without
            state, see no_state.
        update: (denoiser, schedule, i: i32[], x_t, state, noise: Noise) → (x_prev, state,
            x_0_hat), with i an index into the schedule; images f32[b h w c]. x_prev has the
            noise level of alpha_bar_prev[i]; at i = 0 it is the image.
        gradient_shifts: what guidance by a gradient of log p(y | x_t) changes with this sampler:
            the `mean` of p(x_{t-1} | x_t), see guidance.shift_mean, or the `score`, see
            guidance.shift_score.
    """

    init: Callable[[Array], Any]
    update: Callable[[Denoiser, Schedule, Array, Array, Any, Noise], tuple[Array, Any, Array]]
    gradient_shifts: Literal["mean", "score"]


def no_state(x_T: Array) -> tuple[()]:
    """The `init` of a sampler without state."""
    return ()


def evaluate(
    denoiser: Denoiser, schedule: Schedule, i: Array, x_t: Array
) -> tuple[Prediction, Array]:
    """The denoiser's prediction at x_t and step i, i32[], and its x_0_hat, f32[b h w c]."""
    t = jnp.broadcast_to(schedule.timesteps[i], x_t.shape[:1])
    prediction = denoiser(x_t, t)
    return prediction, x_0_hat_of(schedule, i, x_t, prediction)


def x_prev_from(schedule: Schedule, i: Array, x_0: Array, eps: Array) -> Array:
    """x_{t-1} from x_0 and eps, by (a) in gaussian.py; at i = 0 x_0 itself.

    Args:
        schedule: of S steps.
        i: i32[], in [0, S).
        x_0: f32[b h w c].
        eps: f32[b h w c].

    Returns:
        f32[b h w c].
    """
    return jnp.sqrt(at(schedule.alpha_bar_prev, i, x_0)) * x_0 + (
        jnp.sqrt(at(schedule.one_minus_alpha_bar_prev, i, x_0)) * eps
    )


def sigmas(schedule: Schedule, i: Array, like: Array) -> tuple[Array, Array]:
    """Noise-to-signal ratio, sqrt((1 - alpha_bar) / alpha_bar), at a step and the next less noisy.

    This is Karras et al. 2022's sigma, of x_t / sqrt(alpha_bar) = x_0 + sigma eps.

    Args:
        schedule: of S steps.
        i: i32[], in [0, S).
        like: an array with the rank of the results.

    Returns:
        sigma_t and sigma_{t-1}, f32[1 1 1 1] each; sigma_{t-1} is 0 at i = 0.
    """
    here = at(schedule.sqrt_one_minus_alpha_bar, i, like) / at(schedule.sqrt_alpha_bar, i, like)
    left, signal = schedule.one_minus_alpha_bar_prev, schedule.alpha_bar_prev
    return here, jnp.sqrt(at(left, i, like) / at(signal, i, like))


def fixed_noise(noise: Array) -> Noise:
    """A Noise of one given sample, f32[b h w c]; it raises ValueError for any k but 0."""

    def sample(k: Array | int) -> Array:
        if not (isinstance(k, int) and k == 0):
            raise ValueError(
                "this sampler needs several samples of noise a step, but `noise` has one; "
                "pass keys instead of noise"
            )
        return noise

    return sample
