"""Ways to take one step back. A sampler is a pair of pure functions; `sample` drives it.

To add one: a function that returns its Sampler, and a line in SAMPLERS. The shared suite in
tests/diffusion/samplers_test.py then holds it to what every sampler must do.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from glide_jax.diffusion.gaussian import at, p_posterior, x_0_hat_of
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser, Prediction


class Sampler(NamedTuple):
    """How steps are taken.

    Attributes:
        init: x_T: f32[b h w c] → state, a pytree; () if the sampler remembers nothing.
        update: (denoiser, schedule, i: i32[], x_t, state, noise) → (x_prev, state, x_0_hat), with
            i an index into the schedule and noise standard normal; pictures f32[b h w c]. x_prev
            has alpha_bar_prev[i] left of x_0; at i = 0 it is the picture.
    """

    init: Callable[[Array], Any]
    update: Callable[[Denoiser, Schedule, Array, Array, Any, Array], tuple[Array, Any, Array]]


def ddpm() -> Sampler:
    """Ancestral sampling: x_{t-1} ~ p(x_{t-1} | x_t) (Ho et al. 2020, algorithm 2).

    The variance is the learned one if the denoiser has one (Nichol & Dhariwal 2021, eq. 15),
    else the posterior's.
    """

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = _look(denoiser, schedule, i, x_t)
        p = p_posterior(schedule, i, x_t, prediction)
        # The last step gives the mean: it is the picture, noise would only lie on it.
        deviation = jnp.where(i > 0, jnp.exp(0.5 * p.log_variance), 0.0)
        return p.mean + deviation * noise, state, x_0_hat

    return Sampler(_nothing, update)


def ddim(eta: Array | float) -> Sampler:
    """Implicit sampling (Song et al. 2021, eqs. 12 and 16).

        x_{t-1} = sqrt(alpha_bar_prev) x_0_hat + sqrt(1 - alpha_bar_prev - sigma²) eps
                  + sigma noise,    sigma² = eta² · the posterior's variance.

    Args:
        eta: f32[] ≥ 0; 0: no noise, the picture is a function of x_T; 1: as ddpm() without a
            learned variance.
    """

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = _look(denoiser, schedule, i, x_t)
        sigma = eta * jnp.sqrt(at(schedule.posterior_variance, i, x_t))
        left = at(schedule.one_minus_alpha_bar_prev, i, x_t) - sigma**2
        # Rounding, or an eta above 1, must not take the root of a negative number.
        towards_x_t = jnp.sqrt(jnp.maximum(left, 0.0)) * prediction.eps
        mean = jnp.sqrt(at(schedule.alpha_bar_prev, i, x_t)) * x_0_hat + towards_x_t
        return mean + sigma * noise, state, x_0_hat

    return Sampler(_nothing, update)


SAMPLERS: dict[str, Callable[[Array | float], Sampler]] = {
    "ddpm": lambda eta: ddpm(),
    "ddim": ddim,
}
"""Sampler name → factory of eta, the share of noise put back; samplers with a fixed share ignore
it."""


def _nothing(x_T: Array) -> tuple[()]:
    return ()


def _look(denoiser: Denoiser, schedule: Schedule, i: Array, x_t: Array) -> tuple[Prediction, Array]:
    """What the denoiser says of x_t, told the original t, and its x_0_hat."""
    t = jnp.broadcast_to(schedule.timesteps[i], x_t.shape[:1])
    prediction = denoiser(x_t, t)
    return prediction, x_0_hat_of(schedule, i, x_t, prediction)
