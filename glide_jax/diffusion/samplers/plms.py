"""Pseudo linear multistep: eps extrapolated from the last four evaluations."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from glide_jax.diffusion.gaussian import at
from glide_jax.diffusion.samplers.sampler import Sampler, evaluate, sigmas, x_prev_from
from glide_jax.types import Array

_ADAMS_BASHFORTH = np.array(
    [
        [1, 0, 0, 0],
        [3 / 2, -1 / 2, 0, 0],
        [23 / 12, -16 / 12, 5 / 12, 0],
        [55 / 24, -59 / 24, 37 / 24, -9 / 24],
    ],
    np.float32,
)
"""[order - 1, how many evaluations ago] → weight of that evaluation's eps."""


class _State(NamedTuple):
    """evaluations: i32[], how many so far; eps: f32[3 b h w c], of the last three, newest first."""

    evaluations: Array
    eps: Array


def plms() -> Sampler:
    """Pseudo linear multistep of fourth order (Liu et al. 2022, PNDM).

        x_{t-1} = the ddim(0) step along (55 eps_0 - 59 eps_1 + 37 eps_2 - 9 eps_3) / 24,

    eps_k being the prediction k steps ago. The first three steps have fewer predictions before them
    and use Adams-Bashforth's formulas of order 1, 2 and 3, one evaluation each (known as iPNDM),
    where the paper uses Runge-Kutta steps of four evaluations. The weights are those of equal steps
    in t, as in the paper. The last step returns x_0_hat.
    """

    def init(x_T):
        return _State(jnp.array(0, jnp.int32), jnp.zeros((3, *x_T.shape), x_T.dtype))

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = evaluate(denoiser, schedule, i, x_t)
        eps = jnp.concatenate([prediction.eps[None], state.eps])
        weights = jnp.asarray(_ADAMS_BASHFORTH)[jnp.minimum(state.evaluations, 3)]
        # The ddim step along eps_0, plus the correction by the extrapolated eps: where sigma is
        # 10⁴, x_0_hat can't be recovered from x_t and eps.
        change = jnp.tensordot(weights, eps - prediction.eps[None], axes=1)
        sigma, sigma_prev = sigmas(schedule, i, x_t)
        signal = jnp.sqrt(at(schedule.alpha_bar_prev, i, x_t))
        correction = jnp.where(i > 0, signal * (sigma_prev - sigma) * change, 0.0)
        x_prev = x_prev_from(schedule, i, x_0_hat, prediction.eps) + correction
        return x_prev, _State(state.evaluations + 1, eps[:3]), x_0_hat

    return Sampler(init, update, "score")
