"""Heun's method for the probability-flow ODE: two evaluations a step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from glide_jax.diffusion.gaussian import at
from glide_jax.diffusion.samplers.sampler import Sampler, evaluate, sigmas, x_prev_from
from glide_jax.types import Array

_FAR = 3.0
"""A step to less than a third of its noise has one evaluation."""


class _State(NamedTuple):
    """evaluated: bool[], whether there was a step before; eps: f32[b h w c], of that step."""

    evaluated: Array
    eps: Array


def heun() -> Sampler:
    """The probability-flow ODE by the trapezoid rule, in data prediction.

    Karras et al. 2022 (algorithm 1) apply the rule to dx̄ / dsigma = eps, the coordinates of
    `euler`. A second evaluation x_0_hat', at Euler's x̄', then counts (sigma_t - sigma_{t-1}) /
    (2 sigma_{t-1}) times: 33 times on the way to the least noisy of five steps, which amplifies a
    clipped or imperfect x_0_hat' as much. The same ODE has a right-hand side that is bounded where
    x_0_hat is: with r = 1 / sigma, d(x̄ r) / dr = x_0_hat. Between its two evaluations x_0_hat is
    taken to be linear in sqrt(alpha_bar), as it is for data of unit variance. The integral is

        x̄_{t-1} = x̄' + (1 - sigma_{t-1} / sigma_t) w (x_0_hat' - x_0_hat),
        w = s_t / (s_t + s_{t-1}),    s = sqrt(1 - alpha_bar).

    w is 1/2 for small steps, so that the order is 2, and below 1 for any: x̄_{t-1} is a weighted
    mean of x̄_t, x_0_hat and x_0_hat', and nothing is amplified.

    A step to less than a third of its noise, such as the first from pure noise and the one to the
    least noisy step, has one evaluation: one at sigma_{t-1} ≪ sigma_t doesn't show what x_0_hat is
    between. There eps is extrapolated from the step before (Adams-Bashforth, order 2), no further
    than that step was long:

        x̄_{t-1} = x̄' + (sigma_{t-1} - sigma_t) u (eps - eps_before),
        u = min(1, (sigma_t - sigma_{t-1}) / (sigma_before - sigma_t)) / 2.

    Without a step before it, it is Euler's. The last step returns x_0_hat, as in the paper.
    """

    def init(x_T):
        return _State(jnp.array(False), jnp.zeros_like(x_T))

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = evaluate(denoiser, schedule, i, x_t)
        x_prev = x_prev_from(schedule, i, x_0_hat, prediction.eps)
        sigma, sigma_prev = sigmas(schedule, i, x_t)
        signal = jnp.sqrt(at(schedule.alpha_bar_prev, i, x_t))

        def extrapolated():
            before, _ = sigmas(schedule, jnp.minimum(i + 1, schedule.num_steps - 1), x_t)
            step = sigma - sigma_prev
            growth = jnp.where(before > sigma, step / (before - sigma), 0.0)
            weight = jnp.where(state.evaluated & (i > 0), 0.5 * jnp.minimum(growth, 1.0), 0.0)
            return x_prev - signal * step * weight * (prediction.eps - state.eps)

        def trapezoid():
            _, x_0_hat_there = evaluate(denoiser, schedule, i - 1, x_prev)
            noise_there = jnp.sqrt(at(schedule.one_minus_alpha_bar_prev, i, x_t))
            noise_here = at(schedule.sqrt_one_minus_alpha_bar, i, x_t)
            weight = (1 - sigma_prev / sigma) * noise_here / (noise_here + noise_there)
            return x_prev + signal * weight * (x_0_hat_there - x_0_hat)

        far = sigma > _FAR * sigma_prev  # at i = 0 too
        x_prev = jax.lax.cond(far.squeeze(), extrapolated, trapezoid)
        return x_prev, _State(jnp.array(True), prediction.eps), x_0_hat

    return Sampler(init, update, "score")
