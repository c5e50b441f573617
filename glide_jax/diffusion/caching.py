"""Feature caching (DeepCache, Ma et al. 2023): the deep part is evaluated at some steps alone.

From one step to the next a U-Net's deep features hardly change. At every n-th step they are
computed anew, and the steps between take those of the last such step m, and evaluate the shallow
part alone:

    f_m = deep(x_m, m),    eps_i = shallow(x_i, i, f_m),    m ≥ i > m - n

    features ─→ CachedDenoiser.given ─→ Denoiser, of one step ─→ the sampler's update

Samplers know nothing of it: all evaluations of a step have the same features.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from glide_jax.diffusion.guidance.classifier_free import in_interval
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser

Deep = Callable[[Array, Array], Array]
"""(x_t: f32[b h w c], t: i32[b], index into the ORIGINAL schedule) → deep features, [b …]."""


Features = Callable[[Array, Array, Array], Array]
"""(i: i32[], index into the schedule that is run; x_t: f32[b h w c]; kept: [b …], the features of
the step before) → those of step i: computed anew where that is due, `kept` elsewhere."""


def of_both(stacked: Deep) -> Deep:
    """Of b images the features of both halves of `guidance.classifier_free`: 2b rows."""
    return lambda x_t, t: stacked(jnp.concatenate([x_t, x_t]), jnp.concatenate([t, t]))


class CachedDenoiser(NamedTuple):
    """A denoiser whose deep features are kept from step to step.

    Attributes:
        features: what they are at a step.
        given: features → the Denoiser that has them.
    """

    features: Features
    given: Callable[[Array], Denoiser]


def every(interval: Array, first: Array, deep: Deep, schedule: Schedule) -> Features:
    """Features that are computed anew at every `interval`-th step.

    Args:
        interval: i32[], n: 1 or more; 1: at every step.
        first: i32[], in [0, S), the first step that is taken, at which they always are.
        deep: the deep part.
        schedule: of the S steps to take.
    """

    def features(i: Array, x_t: Array, kept: Array) -> Array:
        compute = lambda: deep(x_t, _timesteps(schedule, i, x_t))  # noqa: E731
        return jax.lax.cond(_is_due(i, interval, first), compute, lambda: kept)

    return features


def every_guided(
    interval: Array,
    first: Array,
    stacked: Deep,
    conditional: Deep,
    schedule: Schedule,
    guided: tuple[Array, int],
) -> Features:
    """As `every`, for classifier-free guidance at some noise levels alone.

    Where there is none, the null condition's half is not computed; it is where guidance begins,
    though no other step is due there.

    Args:
        interval, first, schedule: as for `every`.
        stacked: of batches 2b, as for `guidance.classifier_free`.
        conditional: of batches b, the first half of `stacked`.
        guided: (interval: f32[2], num_steps), as for `guidance.guidance_interval`.

    Returns:
        The features of batches 2b.
    """

    def is_guided(i: Array) -> Array:
        # A sampler of two evaluations a step makes the second one at the timestep of the next.
        here, there = (schedule.timesteps[jnp.maximum(i - k, 0)] for k in (0, 1))
        return in_interval(here, *guided) | in_interval(there, *guided)

    def features(i: Array, x_t: Array, kept: Array) -> Array:
        t, b = _timesteps(schedule, i, x_t), len(x_t)
        both = lambda: of_both(stacked)(x_t, t)  # noqa: E731
        one = lambda: jnp.concatenate([conditional(x_t, t), kept[b:]])  # noqa: E731
        before = is_guided(jnp.minimum(i + 1, schedule.num_steps - 1))
        begins = is_guided(i) & ~before
        due = _is_due(i, interval, first) | begins
        return jax.lax.switch(due * (1 + is_guided(i)), (lambda: kept, one, both))

    return features


def _is_due(i: Array, interval: Array, first: Array) -> Array:
    return (first - i) % interval == 0


def _timesteps(schedule: Schedule, i: Array, x_t: Array) -> Array:
    return jnp.broadcast_to(schedule.timesteps[i], x_t.shape[:1])
