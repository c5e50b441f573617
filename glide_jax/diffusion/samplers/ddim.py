"""DDIM: deterministic at eta 0, as noisy as DDPM at eta 1."""

import jax.numpy as jnp

from glide_jax.diffusion.gaussian import at
from glide_jax.diffusion.samplers.sampler import Sampler, evaluate, no_state
from glide_jax.types import Array


def ddim(eta: Array | float) -> Sampler:
    """DDIM (Song et al. 2021, eqs. 12 and 16).

        x_{t-1} = sqrt(alpha_bar_prev) x_0_hat + sqrt(1 - alpha_bar_prev - sigma²) eps
                  + sigma noise,    sigma² = eta² · the posterior's variance.

    Args:
        eta: f32[] ≥ 0; 0: the image is a function of x_T; 1: as ddpm without a learned variance.
    """

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = evaluate(denoiser, schedule, i, x_t)
        sigma = eta * jnp.sqrt(at(schedule.posterior_variance, i, x_t))
        left = at(schedule.one_minus_alpha_bar_prev, i, x_t) - sigma**2
        # Rounding, or an eta above 1, must not take the root of a negative number.
        direction = jnp.sqrt(jnp.maximum(left, 0.0)) * prediction.eps
        mean = jnp.sqrt(at(schedule.alpha_bar_prev, i, x_t)) * x_0_hat + direction
        return mean + sigma * noise(0), state, x_0_hat

    return Sampler(no_state, update, "score")
