"""Gaussian diffusion: the noising process, its posterior, and the reverse process.

The derivation, for one pixel (pixels are independent), t = 1 … T; code indexes from 0.

1. Each step scales the image down a little and adds noise:

       q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t).

2. Gaussians compose. With alpha_bar_t = Π_{s≤t} (1 - beta_s), and by induction, since
   (1 - beta_t)(1 - alpha_bar_{t-1}) + beta_t = 1 - alpha_bar_t,

       q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, 1 - alpha_bar_t),
       x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps,    eps ~ N(0, 1).        (a)

   t-1 and t need not be neighbours in the schedule that a model was trained on: any increasing
   subset of steps is a diffusion, with beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}.

3. Bayes: q(x_{t-1} | x_t, x_0) ∝ q(x_t | x_{t-1}) q(x_{t-1} | x_0). Precisions add,

       1 / variance = (1 - beta_t) / beta_t + 1 / (1 - alpha_bar_{t-1}),
       variance     = beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t),                    (b)

   and means add, weighted by precision,

       mean = sqrt(alpha_bar_{t-1}) beta_t / (1 - alpha_bar_t) x_0
            + sqrt(1 - beta_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) x_t.              (c)

   These are eqs. 6 and 7 of Ho et al. 2020. At the first step the variance is 0: x_0 is known.

4. The reverse process p(x_{t-1} | x_t) does not know x_0. A model predicts x_0_hat from x_t, which
   replaces x_0 in (c). Given x_t, by (a) a prediction of eps is equivalent to one of x_0; so is
   one of v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 (Salimans & Ho 2022, sec. 4), since
   (x_0, eps) → (x_t, v) is a rotation:

       x_0 = sqrt(alpha_bar) x_t - sqrt(1 - alpha_bar) v,
       eps = sqrt(1 - alpha_bar) x_t + sqrt(alpha_bar) v.                                    (d)

5. The variance of p(x_{t-1} | x_t) lies between (b), which is right if x_0 is known exactly, and
   beta_t, which is right if the pixels are white noise. A model may learn where, on a log scale
   (Nichol & Dhariwal 2021, eq. 15):

       log variance = fraction · log beta_t + (1 - fraction) · log (b).                      (e)

In every function `i` is an index into the schedule that is passed, i32[b] or i32[]; an index beyond
it gives NaN.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser, Prediction

Apply = Callable[[Array, Array], Array]
"""A model closed over its weights and condition: (x_t: f32[b h w c], t: i32[b]) → raw output,
[b h w c], or [b h w 2c], whose last c channels are the variance's, see split_output."""


def at(values: Array, i: Array, like: Array) -> Array:
    """Values of a schedule at i, shaped to multiply images.

    Args:
        values: f32[S], one of a Schedule's fields.
        i: i32[b] or i32[], in [0, S).
        like: an array with the rank of the result, [b ...].

    Returns:
        f32[b 1 1 1] or f32[1 1 1 1]; NaN where i ≥ S.
    """
    found = values.at[i].get(mode="fill", fill_value=jnp.nan)
    return found.reshape((-1,) + (1,) * (like.ndim - 1))


def q_sample(schedule: Schedule, i: Array, x_0: Array, eps: Array) -> Array:
    """Sample x_t ~ q(x_t | x_0); (a), Ho et al. 2020, eq. 4.

    Args:
        schedule: of S steps.
        i: i32[b] or i32[], in [0, S).
        x_0: f32[b h w c] in [-1, 1].
        eps: f32[b h w c], standard normal.

    Returns:
        f32[b h w c].
    """
    return at(schedule.sqrt_alpha_bar, i, x_0) * x_0 + (
        at(schedule.sqrt_one_minus_alpha_bar, i, x_0) * eps
    )


class Gaussian(NamedTuple):
    """A normal distribution per pixel.

    Attributes:
        mean: f32[b h w c].
        variance: f32, broadcasts with mean.
        log_variance: f32, broadcasts with mean; finite where variance is 0.
    """

    mean: Array
    variance: Array
    log_variance: Array


def q_posterior(schedule: Schedule, i: Array, x_0: Array, x_t: Array) -> Gaussian:
    """q(x_{t-1} | x_t, x_0); (b) and (c), Ho et al. 2020, eqs. 6 and 7.

    Args:
        schedule: of S steps.
        i: i32[b] or i32[], in [0, S).
        x_0: f32[b h w c], the image or a prediction of it.
        x_t: f32[b h w c].

    Returns:
        Its Gaussian; log_variance at i = 0 is that of i = 1, where it is finite.
    """
    return Gaussian(
        mean=at(schedule.posterior_x_0_coefficient, i, x_0) * x_0
        + at(schedule.posterior_x_t_coefficient, i, x_t) * x_t,
        variance=at(schedule.posterior_variance, i, x_t),
        log_variance=at(schedule.posterior_log_variance_clipped, i, x_t),
    )


def p_posterior(schedule: Schedule, i: Array, x_t: Array, prediction: Prediction) -> Gaussian:
    """p(x_{t-1} | x_t): the posterior with x_0_hat for x_0; variance (e) if learned, else (b).

    Args:
        schedule: of S steps.
        i: i32[b] or i32[], in [0, S).
        x_t: f32[b h w c].
        prediction: the model's, from x_t.

    Returns:
        Its Gaussian.
    """
    x_0_hat = x_0_hat_of(schedule, i, x_t, prediction)
    posterior = q_posterior(schedule, i, x_0_hat, x_t)
    if prediction.variance_fraction is None:
        return posterior
    log_variance = learned_log_variance(schedule, i, prediction.variance_fraction)
    return Gaussian(posterior.mean, jnp.exp(log_variance), log_variance)


def learned_log_variance(schedule: Schedule, i: Array, variance_fraction: Array) -> Array:
    """Log variance of p(x_{t-1} | x_t); (e), Nichol & Dhariwal 2021, eq. 15.

    Args:
        schedule: of S steps.
        i: i32[b] or i32[], in [0, S).
        variance_fraction: f32[b h w c]; 0: the posterior's variance, 1: beta_t.

    Returns:
        f32[b h w c], nats.
    """
    largest = at(schedule.log_beta, i, variance_fraction)
    smallest = at(schedule.posterior_log_variance_clipped, i, variance_fraction)
    return variance_fraction * largest + (1 - variance_fraction) * smallest


def x_0_from_eps(schedule: Schedule, i: Array, x_t: Array, eps: Array) -> Array:
    """x_0 from x_t and eps, by (a); all f32[b h w c], i: i32[b] or i32[]."""
    noise = at(schedule.sqrt_one_minus_alpha_bar, i, x_t) * eps
    return (x_t - noise) / at(schedule.sqrt_alpha_bar, i, x_t)


def x_0_hat_of(schedule: Schedule, i: Array, x_t: Array, prediction: Prediction) -> Array:
    """The image that a prediction corresponds to, f32[b h w c]; i: i32[b] or i32[]."""
    if prediction.x_0_hat is not None:
        return prediction.x_0_hat
    return x_0_from_eps(schedule, i, x_t, prediction.eps)


def eps_from_x_0(schedule: Schedule, i: Array, x_t: Array, x_0: Array) -> Array:
    """Eps from x_t and x_0, by (a); all f32[b h w c], i: i32[b] or i32[]."""
    signal = at(schedule.sqrt_alpha_bar, i, x_t) * x_0
    return (x_t - signal) / at(schedule.sqrt_one_minus_alpha_bar, i, x_t)


def x_0_from_v(schedule: Schedule, i: Array, x_t: Array, v: Array) -> Array:
    """x_0 from x_t and v by (d); all f32[b h w c], i: i32[b] or i32[]."""
    return at(schedule.sqrt_alpha_bar, i, x_t) * x_t - (
        at(schedule.sqrt_one_minus_alpha_bar, i, x_t) * v
    )


def eps_from_v(schedule: Schedule, i: Array, x_t: Array, v: Array) -> Array:
    """Eps from x_t and v by (d); all f32[b h w c], i: i32[b] or i32[]."""
    return at(schedule.sqrt_one_minus_alpha_bar, i, x_t) * x_t + (
        at(schedule.sqrt_alpha_bar, i, x_t) * v
    )


def v_from(schedule: Schedule, i: Array, x_0: Array, eps: Array) -> Array:
    """v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 (Salimans & Ho 2022, sec. 4).

    All f32[b h w c]; i: i32[b] or i32[].
    """
    return at(schedule.sqrt_alpha_bar, i, x_0) * eps - (
        at(schedule.sqrt_one_minus_alpha_bar, i, x_0) * x_0
    )


class Parametrisation(NamedTuple):
    """What a model's output means.

    Attributes:
        target: (schedule, i, x_0, eps) → the output to train towards, f32[b h w c].
        to_eps: (schedule, i, x_t, output) → eps, f32[b h w c].
    """

    target: Callable[[Schedule, Array, Array, Array], Array]
    to_eps: Callable[[Schedule, Array, Array, Array], Array]


PREDICTIONS: dict[str, Parametrisation] = {
    "eps": Parametrisation(lambda s, i, x_0, eps: eps, lambda s, i, x_t, output: output),
    "x_0": Parametrisation(lambda s, i, x_0, eps: x_0, eps_from_x_0),
    "v": Parametrisation(v_from, eps_from_v),
}
"""Prediction type → its parametrisation."""


def split_output(output: Array, channels: int) -> tuple[Array, Array | None]:
    """Split a model's raw output into (value, variance_fraction); only here is it split.

    Args:
        output: [b h w c], or [b h w 2c] whose second half is in [-1, 1]; any float type.
        channels: c, of the images.

    Returns:
        value f32[b h w c], and variance_fraction f32[b h w c] in [0, 1] or None.

    Raises:
        ValueError: output has neither c nor 2c channels.
    """
    output = output.astype(jnp.float32)
    if output.shape[-1] == channels:
        return output, None
    if output.shape[-1] != 2 * channels:
        raise ValueError(
            f"a model of images with {channels} channels must return {channels} or {2 * channels}, "
            f"not {output.shape[-1]}"
        )
    value, variance = jnp.split(output, 2, axis=-1)
    return value, (variance + 1) / 2


def to_prediction(
    prediction: str, output: Array, schedule: Schedule, i: Array, x_t: Array
) -> Prediction:
    """A model's raw output as a Prediction.

    Args:
        prediction: a name in PREDICTIONS.
        output: [b h w c] or [b h w 2c], see split_output.
        schedule: of S steps.
        i: i32[b] or i32[], in [0, S).
        x_t: f32[b h w c], the model's input.

    Returns:
        The Prediction.

    Raises:
        ValueError: output has neither c nor 2c channels.
    """
    value, variance_fraction = split_output(output, x_t.shape[-1])
    eps = PREDICTIONS[prediction].to_eps(schedule, i, x_t, value)
    return Prediction(eps, variance_fraction)


def denoiser_from(apply: Apply, schedule: Schedule, prediction: str) -> Denoiser:
    """A model as a Denoiser.

    Args:
        apply: the model.
        schedule: the full one that it was trained on: t is an index into it.
        prediction: a name in PREDICTIONS.
    """

    def denoiser(x_t: Array, t: Array) -> Prediction:
        return to_prediction(prediction, apply(x_t, t), schedule, t, x_t)

    return denoiser


def gaussian_kl(
    mean_1: Array, log_variance_1: Array, mean_2: Array, log_variance_2: Array
) -> Array:
    """KL(N(mean_1, variance_1) ‖ N(mean_2, variance_2)) per element, nats; all f32, broadcast."""
    return 0.5 * (
        log_variance_2
        - log_variance_1
        - 1
        + jnp.exp(log_variance_1 - log_variance_2)
        + (mean_1 - mean_2) ** 2 * jnp.exp(-log_variance_2)
    )


def discretized_gaussian_log_likelihood(x_0: Array, mean: Array, log_variance: Array) -> Array:
    """Log probability of 8-bit pixels under a Gaussian (Ho et al. 2020, eq. 13).

    Args:
        x_0: f32[b h w c] in [-1, 1], one of 256 values a pixel; each stands for the interval of
            ± 1/255 around it, the first and the last also for everything beyond.
        mean: f32[b h w c].
        log_variance: f32, broadcasts with mean.

    Returns:
        f32[b h w c], nats.
    """
    scale = jnp.exp(-0.5 * log_variance)
    below_upper = _normal_cdf(scale * (x_0 + 1 / 255 - mean))
    below_lower = _normal_cdf(scale * (x_0 - 1 / 255 - mean))
    probability = jnp.where(x_0 > 0.999, 1.0, below_upper) - jnp.where(
        x_0 < -0.999, 0.0, below_lower
    )
    # 1e-12 as in the reference implementation: no pixel costs more than 40 bits.
    return jnp.log(jnp.maximum(probability, 1e-12))


def _normal_cdf(x: Array) -> Array:
    # The tanh approximation of Ho et al. 2020's code, so that bits/dim are comparable with the
    # published ones. It differs in the tails, by one or two per cent of a poor model's bits.
    return 0.5 * (1 + _tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _tanh(x: Array) -> Array:
    # Close to 1 one step of float32 is many nats of a pixel that is far out. There jnp.tanh is
    # wrong by up to eight such steps, and by others in other versions of XLA; this is to one.
    return jnp.where(x > 0, 1 - 2 * jax.nn.sigmoid(-2 * x), 2 * jax.nn.sigmoid(2 * x) - 1)
