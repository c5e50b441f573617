"""Guidance by the gradient of log p(y | x_t): a classifier's, or CLIP's.

It comes outermost: what it does to an image is not cut to [-1, 1] again. Which of the two shifts
a sampler needs is its gradient_shifts.
"""

from collections.abc import Callable

import jax

from glide_jax.diffusion.gaussian import at, x_0_hat_of
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser, Prediction

Gradient = Callable[[Array, Array], Array]
"""(x_t: f32[b h w c], t: i32[b]) → f32[b h w c], ∇ log p(y | x_t) with respect to x_t, its scale
already in it."""


def gradient_of(log_probability: Callable[[Array, Array], Array]) -> Gradient:
    """The gradient of a log probability with respect to each image.

    Args:
        log_probability: (x_t: f32[b h w c], t: i32[b]) → f32[b], nats, times the guidance scale;
            an image's may depend on that image alone.
    """
    return jax.grad(lambda x_t, t: log_probability(x_t, t).sum())


def shift_mean(denoiser: Denoiser, gradient: Gradient) -> Denoiser:
    """Ask the sampler to add variance · gradient to the mean of p(x_{t-1} | x_t).

    Dhariwal & Nichol 2021, algorithm 1, with the gradient taken at x_t, as in their code.

    Args:
        denoiser: any.
        gradient: of log p(y | x_t).

    Returns:
        A Denoiser for samplers whose gradient_shifts is `mean`; it sets mean_gradient, to which
        another shift_mean adds.
    """

    def shifted(x_t: Array, t: Array) -> Prediction:
        prediction = denoiser(x_t, t)
        shift = gradient(x_t, t)
        if prediction.mean_gradient is not None:
            shift = prediction.mean_gradient + shift
        return prediction._replace(mean_gradient=shift)

    return shifted


def shift_score(denoiser: Denoiser, schedule: Schedule, gradient: Gradient) -> Denoiser:
    """eps - sqrt(1 - alpha_bar) · gradient (Dhariwal & Nichol 2021, algorithm 2).

    x_0_hat moves by (1 - alpha_bar) / sqrt(alpha_bar) · gradient: by 2·10⁴ times it at the last
    step of the squared_cosine schedule. A true log p(y | x_t) is flat there, a network's may not
    be; steps that leave that one out, such as `ddim25` and `fast27`, don't meet it.

    Args:
        denoiser: any.
        schedule: the one it was trained on, every step.
        gradient: of log p(y | x_t).

    Returns:
        A Denoiser for samplers whose gradient_shifts is `score`.
    """

    def shifted(x_t: Array, t: Array) -> Prediction:
        prediction = denoiser(x_t, t)
        sigma = at(schedule.sqrt_one_minus_alpha_bar, t, x_t)
        shift = sigma * gradient(x_t, t)
        x_0_hat = x_0_hat_of(schedule, t, x_t, prediction)
        return prediction._replace(
            eps=prediction.eps - shift,
            x_0_hat=x_0_hat + sigma / at(schedule.sqrt_alpha_bar, t, x_t) * shift,
        )

    return shifted
