"""Ancestral sampling, with the variance that was learned or a fixed one."""

from typing import Literal

import jax.numpy as jnp

from glide_jax.diffusion.gaussian import Gaussian, at, p_posterior
from glide_jax.diffusion.samplers.sampler import Sampler, look, nothing
from glide_jax.diffusion.schedule import Schedule
from glide_jax.errors import UserError
from glide_jax.types import Array, Prediction


def ddpm(variance: Literal["posterior", "beta"]) -> Sampler:
    """Ancestral sampling: x_{t-1} ~ p(x_{t-1} | x_t) (Ho et al. 2020, algorithm 2).

    A gradient of log p(y | x_t) adds variance · gradient to the mean (Dhariwal & Nichol 2021,
    algorithm 1).

    Args:
        variance: of a denoiser that learned none (Ho et al. 2020, sec. 3.2): `posterior`, the
            small one, is right where x_0 is known; `beta`, the large one, where pixels are white
            noise. With `posterior` a learned variance goes first (Nichol & Dhariwal 2021, eq. 15).

    Raises:
        UserError: when it runs, if `beta` is asked of a denoiser that learned a variance.
    """

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = look(denoiser, schedule, i, x_t)
        p = _step(schedule, i, x_t, prediction, variance)
        mean = p.mean
        if prediction.mean_gradient is not None:
            mean = mean + p.variance * prediction.mean_gradient
        # The last step gives the mean: it is the picture, noise would only lie on it.
        deviation = jnp.where(i > 0, jnp.exp(0.5 * p.log_variance), 0.0)
        return mean + deviation * noise(0), state, x_0_hat

    return Sampler(nothing, update, "mean")


def _step(
    schedule: Schedule, i: Array, x_t: Array, prediction: Prediction, variance: str
) -> Gaussian:
    p = p_posterior(schedule, i, x_t, prediction)
    if variance == "posterior":
        return p
    if prediction.variance_fraction is not None:
        raise UserError(
            "the sampler ddpm_beta sets the variance, but this model has learned one; take ddpm"
        )
    return Gaussian(p.mean, at(schedule.beta, i, x_t), at(schedule.log_beta, i, x_t))
