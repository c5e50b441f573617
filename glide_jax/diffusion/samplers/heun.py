"""Heun's rule on the probability-flow ODE: two looks a step."""

import jax
import jax.numpy as jnp

from glide_jax.diffusion.gaussian import at
from glide_jax.diffusion.samplers.sampler import Sampler, look, nothing, sigmas, x_prev_from


def heun() -> Sampler:
    """The probability-flow ODE by the trapezoid rule (Karras et al. 2022, algorithm 1, no churn).

    In the coordinates of `euler`, with eps' and x_0_hat' what the denoiser says at Euler's x̄':

        x̄_{t-1} = x̄_t + (sigma_{t-1} - sigma_t) (eps + eps') / 2
                = x̄' + (sigma_t - sigma_{t-1}) / (2 sigma_{t-1}) (x_0_hat' - x_0_hat),

    the second since x̄' = x_0_hat + sigma_{t-1} eps = x_0_hat' + sigma_{t-1} eps'. It is what is
    computed, for the reason given in `euler`.

    Two kinds of step stay Euler's, with one look: the last, as in the paper, where sigma_{t-1} is
    0; and one that takes sigma_t > 1 to less than its third, such as the first from pure noise.
    While noise outweighs the picture eps is a constant less a share of 1 / sigma²; integrated,
    the trapezoid's error is (sigma_t / sigma_{t-1} - 1) / 2 times Euler's: more, beyond 3.
    """

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = look(denoiser, schedule, i, x_t)
        x_prev = x_prev_from(schedule, i, x_0_hat, prediction.eps)
        sigma, sigma_prev = sigmas(schedule, i, x_t)

        def trapezoid():
            _, x_0_hat_there = look(denoiser, schedule, i - 1, x_prev)
            weight = (sigma - sigma_prev) / (2 * sigma_prev)
            signal = jnp.sqrt(at(schedule.alpha_bar_prev, i, x_t))
            return x_prev + signal * weight * (x_0_hat_there - x_0_hat)

        far = (sigma > 1) & (sigma > 3 * sigma_prev)
        x_prev = jax.lax.cond((i == 0) | far.squeeze(), lambda: x_prev, trapezoid)
        return x_prev, state, x_0_hat

    return Sampler(nothing, update, "score")
