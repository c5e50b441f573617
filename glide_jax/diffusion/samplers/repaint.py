"""RePaint: any sampler, wrapped so that it keeps the known pixels of an image."""

import jax
import jax.numpy as jnp

from glide_jax.diffusion.gaussian import at
from glide_jax.diffusion.samplers.sampler import Sampler, fixed_noise, x_prev_from
from glide_jax.types import Array


def repaint(sampler: Sampler, image: Array, mask: Array, resamples: int) -> Sampler:
    """Inpainting with a model that was not trained for it (Lugmayr et al. 2022, algorithm 1).

    After each step the known pixels are sampled from q(x_{t-1} | image). The step is then undone,
    x_t ~ q(x_t | x_{t-1}), and repeated, so that known and unknown pixels become consistent; the
    last step, which ends without noise, is done once. Each repetition starts from the sampler's
    state before the step.

    It uses noise(0) … noise(3 resamples - 1) of each step, see Noise.

    Args:
        sampler: any.
        image: f32[b h w c] in [-1, 1].
        mask: f32[b h w 1], 1 where the pixel is KEPT, 0 where it is sampled.
        resamples: how often each step is done, 1 or more; 10 in the paper. Static.

    Returns:
        A Sampler whose results equal `image` where the mask is 1.

    Raises:
        ValueError: resamples below 1.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, not {resamples}")

    def update(denoiser, schedule, i, x_t, state, noise):
        # sqrt(1 - beta) of this step. Not from beta: that is 1 in float32 at a jump into noise.
        kept = at(schedule.sqrt_alpha_bar, i, x_t) / (jnp.sqrt(at(schedule.alpha_bar_prev, i, x_t)))

        def attempt(u, carry):
            x_prev, _, _ = carry
            noised_again = kept * x_prev + jnp.sqrt(at(schedule.beta, i, x_t)) * noise(3 * u + 2)
            start = jnp.where(u > 0, noised_again, x_t)
            x_prev, new, x_0_hat = sampler.update(
                denoiser, schedule, i, start, state, fixed_noise(noise(3 * u))
            )
            known_pixels = x_prev_from(schedule, i, image, noise(3 * u + 1))
            return mask * known_pixels + (1 - mask) * x_prev, new, x_0_hat

        attempts = jnp.where(i > 0, resamples, 1)
        return jax.lax.fori_loop(0, attempts, attempt, (x_t, state, x_t))

    return sampler._replace(update=update)
