"""RePaint: any sampler, made to keep the known pixels of a picture."""

import jax
import jax.numpy as jnp

from glide_jax.diffusion.gaussian import at
from glide_jax.diffusion.samplers.sampler import Sampler, one_draw, x_prev_from
from glide_jax.types import Array


def repaint(sampler: Sampler, image: Array, mask: Array, resamples: int) -> Sampler:
    """Inpainting with a model that was not trained for it (Lugmayr et al. 2022, algorithm 1).

    After each step the known pixels are drawn from q(x_{t-1} | image). The step is then taken
    back, x_t ~ q(x_t | x_{t-1}), and done again, so that what is drawn and what is known grow
    together; the last step, which ends without noise, is done once. Every time the sampler starts
    from the state it had before the step: its memory is of steps, not of attempts.

    Step by step it asks for the draws 0 … 3 resamples - 1, see Noise.

    Args:
        sampler: any.
        image: f32[b h w c] in [-1, 1].
        mask: f32[b h w 1], 1 where the pixel is KEPT, 0 where it is drawn anew.
        resamples: how often each step is done, 1 or more; the paper takes 10. Static.

    Returns:
        A Sampler whose pictures have the image's own pixels where it is kept.

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
            taken_back = kept * x_prev + jnp.sqrt(at(schedule.beta, i, x_t)) * noise(3 * u + 2)
            start = jnp.where(u > 0, taken_back, x_t)
            x_prev, new, x_0_hat = sampler.update(
                denoiser, schedule, i, start, state, one_draw(noise(3 * u))
            )
            known = x_prev_from(schedule, i, image, noise(3 * u + 1))
            return mask * known + (1 - mask) * x_prev, new, x_0_hat

        attempts = jnp.where(i > 0, resamples, 1)
        return jax.lax.fori_loop(0, attempts, attempt, (x_t, state, x_t))

    return sampler._replace(update=update)
