"""Classifier-free guidance, and the steps it is worth its price at."""

import jax
import jax.numpy as jnp

from glide_jax.types import Array, Denoiser, Prediction


def classifier_free(stacked: Denoiser, guidance_scale: Array | float) -> Denoiser:
    """eps = uncond + s (cond - uncond) (GLIDE, Nichol et al. 2021, sec. 2.3), in one call.

    Args:
        stacked: a Denoiser of batches 2b: b images with their condition, then the same b with
            the null condition.
        guidance_scale: s, f32[] or f32[b]; 1: the conditional alone, 0: the null alone.

    Returns:
        A Denoiser of batches b; its variance_fraction is the conditional half's.

    Raises:
        ValueError: when called, if stacked sets a mean_gradient; shift_mean goes outside.
    """

    def denoiser(x_t: Array, t: Array) -> Prediction:
        prediction = stacked(jnp.concatenate([x_t, x_t]), jnp.concatenate([t, t]))
        if prediction.mean_gradient is not None:
            raise ValueError("classifier_free has no use for a gradient; put shift_mean around it")
        cond, uncond = jnp.split(prediction.eps, 2)
        scale = jnp.reshape(guidance_scale, (-1,) + (1,) * (x_t.ndim - 1))
        fraction = prediction.variance_fraction
        return Prediction(
            eps=uncond + scale * (cond - uncond),
            variance_fraction=None if fraction is None else fraction[: x_t.shape[0]],
        )

    return denoiser


def guidance_interval(
    guided: Denoiser, conditional: Denoiser, interval: Array, num_steps: int
) -> Denoiser:
    """Guidance at some noise levels alone (Kynkäänniemi et al. 2024, sec. 3).

    guided where interval[0] ≤ t / num_steps < interval[1], else conditional, and then only that is
    computed: half the work. Another interval does not compile again.

    Args:
        guided: classifier_free(…), or any other; its images must all be at the same t.
        conditional: the same model with the condition alone, of batches b.
        interval: f32[2] in [0, 1], shares of the original process; (0, 1): always guided.
        num_steps: T, of the original schedule.

    Raises:
        TypeError: when called, if the two say different things, such as a learned variance.
    """

    def denoiser(x_t: Array, t: Array) -> Prediction:
        inside = in_interval(t[0], interval, num_steps)
        return jax.lax.cond(inside, guided, conditional, x_t, t)

    return denoiser


def in_interval(t: Array, interval: Array, num_steps: int) -> Array:
    """Whether there is guidance at t, i32[], as a bool[]; the rest as for `guidance_interval`."""
    share = t / num_steps
    return (interval[0] <= share) & (share < interval[1])
