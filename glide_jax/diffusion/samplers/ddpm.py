"""Ancestral sampling, with the learned or a fixed variance."""

from typing import Literal

import jax.numpy as jnp

from glide_jax.diffusion.gaussian import Gaussian, at, p_posterior
from glide_jax.diffusion.samplers.sampler import Sampler, evaluate, no_state
from glide_jax.diffusion.schedule import Schedule
from glide_jax.errors import UserError
from glide_jax.types import Array, Prediction


def ddpm(variance: Literal["posterior", "beta"]) -> Sampler:
    """Ancestral sampling: x_{t-1} ~ p(x_{t-1} | x_t) (Ho et al. 2020, algorithm 2).

    A gradient of log p(y | x_t) adds variance · gradient to the mean (Dhariwal & Nichol 2021,
    algorithm 1).

    Args:
        variance: of a denoiser without a learned one (Ho et al. 2020, sec. 3.2): `posterior`, the
            lower bound, is right if x_0 is known; `beta`, the upper bound, if pixels are white
            noise. With `posterior` a learned variance is used if there is one (Nichol & Dhariwal
            2021, eq. 15).

    Raises:
        UserError: in update, if the denoiser has a learned variance and `variance` is `beta`.
    """

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = evaluate(denoiser, schedule, i, x_t)
        p = _step(schedule, i, x_t, prediction, variance)
        mean = p.mean
        if prediction.mean_gradient is not None:
            mean = mean + p.variance * prediction.mean_gradient
        # The last step returns the mean, the image itself, without noise.
        deviation = jnp.where(i > 0, jnp.exp(0.5 * p.log_variance), 0.0)
        return mean + deviation * noise(0), state, x_0_hat

    return Sampler(no_state, update, "mean")


def _step(
    schedule: Schedule, i: Array, x_t: Array, prediction: Prediction, variance: str
) -> Gaussian:
    p = p_posterior(schedule, i, x_t, prediction)
    if variance == "posterior":
        return p
    if prediction.variance_fraction is not None:
        raise UserError(
            "the sampler ddpm_beta fixes the variance, but this model has learned it; use ddpm"
        )
    return Gaussian(p.mean, at(schedule.beta, i, x_t), at(schedule.log_beta, i, x_t))
