"""Heun's method for the probability-flow ODE: two evaluations a step."""

import jax
import jax.numpy as jnp

from glide_jax.diffusion.gaussian import at
from glide_jax.diffusion.samplers.sampler import Sampler, evaluate, no_state, sigmas, x_prev_from


def heun() -> Sampler:
    """The probability-flow ODE by the trapezoid rule (Karras et al. 2022, algorithm 1, no churn).

    In the coordinates of `euler`, with eps' and x_0_hat' the prediction at Euler's x̄':

        x̄_{t-1} = x̄_t + (sigma_{t-1} - sigma_t) (eps + eps') / 2
                = x̄' + (sigma_t - sigma_{t-1}) / (2 sigma_{t-1}) (x_0_hat' - x_0_hat),

    the second since x̄' = x_0_hat + sigma_{t-1} eps = x_0_hat' + sigma_{t-1} eps'. The code computes
    the second, for the reason given in `euler`.

    Two kinds of step are Euler's, with one evaluation: the last, as in the paper, where sigma_{t-1}
    is 0; and one from sigma_t > 1 to less than a third of it, such as the first from pure noise.
    While noise outweighs the image, eps is a constant minus a term in 1 / sigma²; integrated, the
    trapezoid's error is (sigma_t / sigma_{t-1} - 1) / 2 times Euler's: larger, if the ratio is
    above 3.
    """

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = evaluate(denoiser, schedule, i, x_t)
        x_prev = x_prev_from(schedule, i, x_0_hat, prediction.eps)
        sigma, sigma_prev = sigmas(schedule, i, x_t)

        def trapezoid():
            _, x_0_hat_there = evaluate(denoiser, schedule, i - 1, x_prev)
            weight = (sigma - sigma_prev) / (2 * sigma_prev)
            signal = jnp.sqrt(at(schedule.alpha_bar_prev, i, x_t))
            return x_prev + signal * weight * (x_0_hat_there - x_0_hat)

        far = (sigma > 1) & (sigma > 3 * sigma_prev)
        x_prev = jax.lax.cond((i == 0) | far.squeeze(), lambda: x_prev, trapezoid)
        return x_prev, state, x_0_hat

    return Sampler(no_state, update, "score")
