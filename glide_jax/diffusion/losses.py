"""The losses that training minimises, and bits per dimension.

Here a model is a function (x_t, t) → raw output; x_0, eps and x_t are f32[b h w c], i is i32[b].
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from glide_jax.diffusion.gaussian import (
    PREDICTIONS,
    Apply,
    discretized_gaussian_log_likelihood,
    gaussian_kl,
    p_posterior,
    q_posterior,
    q_sample,
    split_output,
    x_0_hat_of,
)
from glide_jax.diffusion.sample import noise_source
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser, Prediction

Weighting = Callable[[str, Array], Array]
"""(a name in PREDICTIONS, log_snr: f32[b]) → weight of the squared error of its own target."""


def uniform(prediction: str, log_snr: Array) -> Array:
    """1 for every step: L_simple (Ho et al. 2020, eq. 14), for the prediction's own target.

    Args:
        prediction: a name in PREDICTIONS.
        log_snr: f32[b].

    Returns:
        f32[b].
    """
    return jnp.ones_like(log_snr)


def min_snr(prediction: str, log_snr: Array, gamma: float = 5.0) -> Array:
    """min(SNR, γ) times x_0's squared error (Min-SNR-γ, Hang et al. 2023, whose γ is 5).

    Args:
        prediction: a name in PREDICTIONS.
        log_snr: f32[b].
        gamma: > 0.

    Returns:
        f32[b].
    """
    return jnp.minimum(1.0, gamma * jnp.exp(-log_snr)) * _eps_error(prediction, log_snr)


def clipped_snr(prediction: str, log_snr: Array, gamma: float = 5.0) -> Array:
    """max(1, min(SNR, γ)) times x_0's squared error.

    Truncated SNR (Salimans & Ho 2022, sec. 4), which gives the noisiest steps a weight above zero,
    with Min-SNR-γ's upper bound.

    Args:
        prediction: a name in PREDICTIONS.
        log_snr: f32[b].
        gamma: ≥ 1.

    Returns:
        f32[b].
    """
    weight = jnp.clip(jnp.exp(log_snr), 1.0, gamma)
    return weight * jnp.exp(-log_snr) * _eps_error(prediction, log_snr)


def truncated_snr(prediction: str, log_snr: Array) -> Array:
    """max(SNR, 1) times x_0's squared error: the larger of x_0's and eps' (Salimans & Ho 2022).

    Of eps' own error it is max(1, 1 / SNR), which near pure noise is beyond any use: a model that
    predicts eps says nothing of x_0 there (their sec. 4).

    Args:
        prediction: a name in PREDICTIONS.
        log_snr: f32[b].

    Returns:
        f32[b].
    """
    return jnp.maximum(1.0, jnp.exp(-log_snr)) * _eps_error(prediction, log_snr)


def p2(prediction: str, log_snr: Array, k: float = 1.0, gamma: float = 1.0) -> Array:
    """1 / (k + SNR)^γ times eps' squared error (P2, Choi et al. 2022, with k = γ = 1).

    Args:
        prediction: a name in PREDICTIONS.
        log_snr: f32[b].
        k: > 0; 1/k^γ bounds the weight of the noisiest steps.
        gamma: ≥ 0; 0: L_simple of eps.

    Returns:
        f32[b].
    """
    return (k + jnp.exp(log_snr)) ** -gamma * _eps_error(prediction, log_snr)


def _eps_error(prediction: str, log_snr: Array) -> Array:
    """(Squared error of eps) / (squared error of the prediction's own target); f32[b]."""
    return {
        "eps": jnp.ones_like(log_snr),
        "x_0": jnp.exp(log_snr),
        "v": jax.nn.sigmoid(log_snr),  # alpha_bar, by (d) in gaussian.py
    }[prediction]


WEIGHTINGS: dict[str, Weighting] = {
    "uniform": uniform,
    "min_snr": min_snr,
    "clipped_snr": clipped_snr,
    "truncated_snr": truncated_snr,
    "p2": p2,
}
"""Weighting name → function."""


def loss_terms(
    apply: Apply,
    schedule: Schedule,
    prediction: str,
    i: Array,
    x_0: Array,
    eps: Array,
    *,
    vlb_weight: float,
    weighting: Weighting = uniform,
) -> dict[str, Array]:
    """The losses of one noised batch; training minimises `hybrid`.

    Args:
        apply: the model; (x_t, t) → raw output with c or 2c channels.
        schedule: the one to train on.
        prediction: a name in PREDICTIONS, what the output predicts.
        i: i32[b], in [0, S): each image's step.
        x_0: f32[b h w c] in [-1, 1].
        eps: f32[b h w c], standard normal.
        vlb_weight: λ ≥ 0; 0.001 is what Nichol & Dhariwal 2021 used.
        weighting: of mse over steps, in `hybrid` only.

    Returns:
        f32[b] each:
        mse: squared error of the output against its own target, mean over h w c;
        vlb: S times step i's bits per dimension, an estimate of L_vlb, whose gradient reaches
            the variance only (Nichol & Dhariwal 2021, sec. 3.1); absent if the model learns no
            variance;
        hybrid: weight · mse + λ · vlb (their eq. 16).
    """
    x_t = q_sample(schedule, i, x_0, eps)
    value, variance_fraction = split_output(apply(x_t, schedule.timesteps[i]), x_0.shape[-1])
    parametrisation = PREDICTIONS[prediction]
    mse = _mean(jnp.square(parametrisation.target(schedule, i, x_0, eps) - value))
    hybrid = weighting(prediction, schedule.log_snr[i]) * mse
    if variance_fraction is None:
        return {"mse": mse, "hybrid": hybrid}
    frozen = jax.lax.stop_gradient(parametrisation.to_eps(schedule, i, x_t, value))
    vlb = vlb_bits(schedule, i, x_0, x_t, Prediction(frozen, variance_fraction))
    # One step estimates the sum over S steps, so that λ means the same for every S.
    vlb = vlb * schedule.num_steps
    return {"mse": mse, "vlb": vlb, "hybrid": hybrid + vlb_weight * vlb}


def vlb_bits(schedule: Schedule, i: Array, x_0: Array, x_t: Array, prediction: Prediction) -> Array:
    """Step i's term of the variational bound (Ho et al. 2020, eq. 5).

    Args:
        schedule: of S steps.
        i: i32[b] or i32[], in [0, S).
        x_0: f32[b h w c] in [-1, 1], 8-bit pixels.
        x_t: f32[b h w c].
        prediction: a model's, from x_t.

    Returns:
        f32[b], bits per dimension: -log2 p(x_0 | x_1) at i = 0, else
        KL(q(x_{t-1} | x_t, x_0) ‖ p(x_{t-1} | x_t)).
    """
    q = q_posterior(schedule, i, x_0, x_t)
    p = p_posterior(schedule, i, x_t, prediction)
    kl = gaussian_kl(q.mean, q.log_variance, p.mean, p.log_variance)
    nll = -discretized_gaussian_log_likelihood(x_0, p.mean, p.log_variance)
    return jnp.where(i == 0, _mean(nll), _mean(kl)) / math.log(2)


def prior_bits(schedule: Schedule, x_0: Array) -> Array:
    """KL(q(x_T | x_0) ‖ N(0, 1)): the information about x_0 in x_T (Ho et al. 2020, L_T in eq. 5).

    Args:
        schedule: of S steps.
        x_0: f32[b h w c] in [-1, 1].

    Returns:
        f32[b], bits per dimension.
    """
    alpha_bar, mean = schedule.alpha_bar[-1], schedule.sqrt_alpha_bar[-1] * x_0
    # gaussian_kl with variance 1 - alpha_bar, kept exact where alpha_bar is small.
    return _mean(0.5 * (mean**2 - alpha_bar - jnp.log1p(-alpha_bar))) / math.log(2)


def bits_per_dim(
    denoiser: Denoiser,
    schedule: Schedule,
    x_0: Array,
    keys: Array | None = None,
    noise: Array | None = None,
) -> dict[str, Array]:
    """The variational bound on -log2 p(x_0), term by term, one sample of noise for each.

    Args:
        denoiser: the model's.
        schedule: of S steps, each costing one call of the denoiser.
        x_0: f32[b h w c] in [-1, 1], 8-bit pixels.
        keys: key[b], each image's source of noise; or
        noise: f32[S b h w c], noise[i] for index i.

    Returns:
        total, prior: f32[b], bits per dimension; vlb: f32[b S], the terms, whose sum is
        total - prior; x_0_mse, eps_mse: f32[b S], mean squared errors over h w c.

    Raises:
        ValueError: both keys and noise are given, or neither.
    """

    def term(_, per_step):
        i, given = per_step
        eps = noise_source(given, keys, i, x_0.shape[1:])(0)
        return None, bound_term(denoiser, schedule, i, x_0, eps)

    _, terms = jax.lax.scan(term, None, (jnp.arange(schedule.num_steps), noise))
    terms = {name: value.T for name, value in terms.items()}
    prior = prior_bits(schedule, x_0)
    return {"total": terms["vlb"].sum(axis=1) + prior, "prior": prior, **terms}


def bound_term(
    denoiser: Denoiser, schedule: Schedule, i: Array, x_0: Array, eps: Array
) -> dict[str, Array]:
    """Step i's part of `bits_per_dim`.

    Args:
        denoiser: the model's.
        schedule: of S steps.
        i: i32[], in [0, S).
        x_0: f32[b h w c] in [-1, 1], 8-bit pixels.
        eps: f32[b h w c], standard normal.

    Returns:
        vlb: f32[b], bits per dimension, see vlb_bits; x_0_mse, eps_mse: f32[b], mean squared errors
        over h w c.
    """
    x_t = q_sample(schedule, i, x_0, eps)
    prediction = denoiser(x_t, jnp.broadcast_to(schedule.timesteps[i], x_0.shape[:1]))
    x_0_hat = x_0_hat_of(schedule, i, x_t, prediction)
    return {
        "vlb": vlb_bits(schedule, i, x_0, x_t, prediction),
        "x_0_mse": _mean(jnp.square(x_0_hat - x_0)),
        "eps_mse": _mean(jnp.square(prediction.eps - eps)),
    }


def _mean(values: Array) -> Array:
    """Over everything but the batch."""
    return values.mean(axis=tuple(range(1, values.ndim)))
