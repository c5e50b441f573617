"""Euler's method for the probability-flow ODE."""

from glide_jax.diffusion.samplers.sampler import Sampler, evaluate, no_state, x_prev_from


def euler() -> Sampler:
    """The probability-flow ODE in Euler steps (Karras et al. 2022, algorithm 1, first order).

    In x̄ = x_t / sqrt(alpha_bar) and sigma, its noise to signal, the ODE is dx̄ / dsigma = eps
    (their eq. 1 with sigma for time). A step along eps gives

        x̄_{t-1} = x̄_t + (sigma_{t-1} - sigma_t) eps = x_0_hat + sigma_{t-1} eps,

    the second since x̄_t = x_0_hat + sigma_t eps. The code computes the second: where sigma_t is
    10⁴, the first would lose x_0_hat to rounding. It is the same formula as ddim(0).
    """

    def update(denoiser, schedule, i, x_t, state, noise):
        prediction, x_0_hat = evaluate(denoiser, schedule, i, x_t)
        return x_prev_from(schedule, i, x_0_hat, prediction.eps), state, x_0_hat

    return Sampler(no_state, update, "score")
