"""Guidance: which transforms go around a stage's denoiser, and in which order.

A guidance is a pure function Denoiser → Denoiser in `diffusion/guidance/`, and an entry of GUIDANCE
here: (GuidanceInputs) → Transform, or None where these settings don't use it. A Transform is a
jax.tree_util.Partial of one module-level function: its numbers and weights are arguments of the
compiled program, so that other values compile nothing.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax.tree_util import Partial

from glide_jax.config import SamplingConfig
from glide_jax.diffusion import guidance
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser

LogProbability = Callable[[Array, Array], Array]
"""(x_t: f32[b h w 3], t: i32[b]) → f32[b], whose gradient guides. A pytree, a Partial."""


class GuidanceContext(NamedTuple):
    """What a transform may need beside the denoiser.

    Attributes:
        schedule: the one that the model was trained on, every step.
        gradient_shifts: what a gradient changes for this sampler, see `Sampler`.
        stacked: the model on batches of 2b: b images with their condition, then the same b with
            the null condition; None: there is no null condition.
    """

    schedule: Schedule
    gradient_shifts: Literal["mean", "score"]
    stacked: Denoiser | None


Transform = Callable[[Denoiser, GuidanceContext], Denoiser]
"""A Partial, see above."""


class GuidanceInputs(NamedTuple):
    """What is known of a batch when its transforms are built.

    Attributes:
        sampling: the settings of the stage.
        scales: f32[b], each image's guidance_scale; None: no classifier-free guidance.
        known: (image: f32[1 h w 3], mask: f32[1 h w 1], 1 where KEPT), or b of each, for a model
            that was trained to inpaint; None: nothing is known, or RePaint keeps it.
        log_probabilities: whose gradients guide.
    """

    sampling: SamplingConfig
    scales: Array | None
    known: tuple[Array, Array] | None
    log_probabilities: tuple[LogProbability, ...]


def transforms_of(inputs: GuidanceInputs) -> tuple[Transform, ...]:
    """The transforms of a batch, the innermost first."""
    built = [build(inputs) for build in GUIDANCE.values()]
    return tuple(transform for transform in built if transform is not None)


def _classifier_free(inputs: GuidanceInputs) -> Transform | None:
    if inputs.scales is None:
        return None
    if inputs.sampling.is_guided_everywhere:
        return Partial(_apply_classifier_free, inputs.scales)
    interval = jnp.float32(inputs.sampling.guidance_interval)
    return Partial(_apply_classifier_free_in, inputs.scales, interval)


def _apply_classifier_free(scales: Array, denoiser: Denoiser, context: GuidanceContext) -> Denoiser:
    del denoiser  # both halves are in the stacked one
    assert context.stacked is not None
    return guidance.classifier_free(context.stacked, scales)


def _apply_classifier_free_in(
    scales: Array, interval: Array, denoiser: Denoiser, context: GuidanceContext
) -> Denoiser:
    guided = _apply_classifier_free(scales, denoiser, context)
    return guidance.guidance_interval(guided, denoiser, interval, context.schedule.num_steps)


def _known_pixels(inputs: GuidanceInputs) -> Transform | None:
    return None if inputs.known is None else Partial(_apply_known_pixels, *inputs.known)


def _apply_known_pixels(
    image: Array, mask: Array, denoiser: Denoiser, context: GuidanceContext
) -> Denoiser:
    return guidance.keep_known(denoiser, context.schedule, image, mask)


def _threshold(inputs: GuidanceInputs) -> Transform:
    quantile, cap = inputs.sampling.dynamic_threshold, inputs.sampling.threshold_cap
    if quantile is None:
        return Partial(_apply_threshold, None, None)
    # No cap is a number too: another one compiles nothing.
    cap = jnp.float32(jnp.inf if cap is None else cap)
    return Partial(_apply_threshold, jnp.float32(quantile), cap)


def _apply_threshold(
    quantile: Array | None, cap: Array | None, denoiser: Denoiser, context: GuidanceContext
) -> Denoiser:
    return guidance.thresholded(denoiser, context.schedule, quantile, cap)


def _gradients(inputs: GuidanceInputs) -> Transform | None:
    if not inputs.log_probabilities:
        return None
    return Partial(_apply_gradients, inputs.log_probabilities)


def _apply_gradients(
    log_probabilities: tuple[LogProbability, ...], denoiser: Denoiser, context: GuidanceContext
) -> Denoiser:
    gradient = guidance.gradient_of(
        lambda x_t, t: jnp.stack([one(x_t, t) for one in log_probabilities]).sum(0)
    )
    if context.gradient_shifts == "mean":
        return guidance.shift_mean(denoiser, gradient)
    return guidance.shift_score(denoiser, context.schedule, gradient)


GUIDANCE: dict[str, Callable[[GuidanceInputs], Transform | None]] = {
    "classifier_free": _classifier_free,
    "known_pixels": _known_pixels,
    "threshold": _threshold,
    "gradients": _gradients,
}
"""Name → what builds its transform; the first is innermost. What a gradient does to an image is not
clipped again."""
