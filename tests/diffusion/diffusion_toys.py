"""Denoisers whose answers are known in closed form, and the goldens' toy network."""

import jax.numpy as jnp
import numpy as np

from glide_jax.diffusion.gaussian import at, eps_from_x_0
from glide_jax.diffusion.schedule import BETAS, kept_timesteps, make_schedule
from glide_jax.types import Prediction


def schedules(name="squared_cosine", respacing="", num_steps=1000):
    """The whole schedule, and the respaced one."""
    betas = BETAS[name](num_steps)
    return make_schedule(betas), make_schedule(betas, kept_timesteps(respacing, betas))


def images(batch=2, size=4, seed=0):
    """f32[b h w 3] of 8-bit values in [-1, 1], both ends among them."""
    values = np.random.default_rng(seed).integers(0, 256, (batch, size, size, 3))
    values[:, 0, 0] = [0, 255, 128]
    return jnp.asarray(values / 127.5 - 1, jnp.float32)


def normal(shape, seed=1):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def perfect(full, x_0):
    """The denoiser that knows x_0."""
    return lambda x_t, t: Prediction(eps_from_x_0(full, t, x_t, x_0))


def optimal(full, mean, std, learned=None):
    """The best denoiser of white Gaussian data; learned: the schedule it knows p's variance for."""

    def denoiser(x_t, t):
        a, sigma = at(full.sqrt_alpha_bar, t, x_t), at(full.sqrt_one_minus_alpha_bar, t, x_t)
        variance = a**2 * std**2 + sigma**2  # of x_t
        eps = sigma * (x_t - a * mean) / variance
        if learned is None:
            return Prediction(eps)
        i = jnp.searchsorted(learned.timesteps, t)
        of_x_0 = (std * sigma) ** 2 / variance  # of x_0 given x_t
        known, beta = at(learned.posterior_variance, i, x_t), at(learned.beta, i, x_t)
        true = known + at(learned.posterior_x_0_coefficient, i, x_t) ** 2 * of_x_0
        smallest = at(learned.posterior_log_variance_clipped, i, x_t)
        fraction = (jnp.log(true) - smallest) / (jnp.log(beta) - smallest)
        return Prediction(eps, jnp.broadcast_to(fraction, x_t.shape))

    return denoiser


def toy_network(x_t, t):
    """The goldens' toy: eps and variance channels, t in 0 … 999."""
    t = (t.astype(jnp.float32) / 1000).reshape(-1, 1, 1, 1)
    eps = jnp.tanh(0.9 * x_t + t) - 0.2 * x_t**2 * (1 - t)
    return jnp.concatenate([eps, jnp.sin(3 * x_t + t)], axis=-1)
