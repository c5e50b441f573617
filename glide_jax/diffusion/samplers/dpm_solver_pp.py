"""DPM-Solver++(2M): x_0 extrapolated from the last two evaluations."""

from typing import NamedTuple

import jax.numpy as jnp

from glide_jax.diffusion.gaussian import at
from glide_jax.diffusion.samplers.sampler import Sampler, evaluate
from glide_jax.types import Array


class _State(NamedTuple):
    """evaluations: i32[], how many so far; x_0_hat: f32[b h w c], of the last one."""

    evaluations: Array
    x_0_hat: Array


def dpm_solver_pp() -> Sampler:
    """DPM-Solver++(2M), data prediction (Lu et al. 2022, arXiv 2211.01095, algorithm 2).

    With lambda = log_snr / 2 and h its growth in this step, h_last in the one before,

        x_{t-1} = sqrt((1 - alpha_bar_prev) / (1 - alpha_bar)) x_t
                  + sqrt(alpha_bar_prev) (1 - exp(-h)) d,
        d = x_0_hat + min(1, h / h_last) / 2 (x_0_hat - x_0_hat of the step before).

    In the paper the minimum is h / h_last. Of a step much longer than the one before, such as the
    one to t = 0 where steps are equal in t, that extrapolates further than there is ground for; the
    order is 2 either way. The first step has none before it, and in the last h = ∞: both use the
    first order, d = x_0_hat, and the last step returns x_0_hat itself. Steps at equal distances in
    log_snr suit it best: `logsnr20`, see schedule.kept_timesteps.
    """

    def init(x_T):
        return _State(jnp.array(0, jnp.int32), jnp.zeros_like(x_T))

    def update(denoiser, schedule, i, x_t, state, noise):
        _, x_0_hat = evaluate(denoiser, schedule, i, x_t)
        half = 0.5 * schedule.log_snr
        h = jnp.where(i > 0, half[i - 1] - half[i], jnp.inf)
        # The noisiest step has no step before it, but it is the first, of first order.
        h_last = half[i] - half[jnp.minimum(i + 1, schedule.num_steps - 1)]
        second_order = (state.evaluations > 0) & (i > 0)
        slope = jnp.where(second_order, 0.5 * jnp.minimum(h / h_last, 1.0), 0.0)
        d = x_0_hat + slope * (x_0_hat - state.x_0_hat)
        noise_left = jnp.sqrt(at(schedule.one_minus_alpha_bar_prev, i, x_t)) / (
            at(schedule.sqrt_one_minus_alpha_bar, i, x_t)
        )
        signal = jnp.sqrt(at(schedule.alpha_bar_prev, i, x_t))
        x_prev = noise_left * x_t - signal * jnp.expm1(-h) * d
        return x_prev, _State(state.evaluations + 1, x_0_hat), x_0_hat

    return Sampler(init, update, "score")
