"""Implicit sampling: from no noise put back to all of it."""

import jax.numpy as jnp

from glide_jax.diffusion.gaussian import at
from glide_jax.diffusion.samplers.sampler import Sampler, look, nothing
from glide_jax.types import Array


def ddim(eta: Array | float) -> Sampler:
    """Implicit sampling (Song et al. 2021, eqs. 12 and 16).

        x_{t-1} = sqrt(alpha_bar_prev) x_0_hat + sqrt(1 - alpha_bar_prev - sigma²) eps
                  + sigma noise,    sigma² = eta² · the posterior's variance.

    Args:
        eta: f32[] ≥ 0; 0: no noise, the picture is a function of x_T; 1: as ddpm without a
            learned variance.
    """

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = look(denoiser, schedule, i, x_t)
        sigma = eta * jnp.sqrt(at(schedule.posterior_variance, i, x_t))
        left = at(schedule.one_minus_alpha_bar_prev, i, x_t) - sigma**2
        # Rounding, or an eta above 1, must not take the root of a negative number.
        towards_x_t = jnp.sqrt(jnp.maximum(left, 0.0)) * prediction.eps
        mean = jnp.sqrt(at(schedule.alpha_bar_prev, i, x_t)) * x_0_hat + towards_x_t
        return mean + sigma * noise(0), state, x_0_hat

    return Sampler(nothing, update, "score")
