"""The sampling loop: one lax.scan drives every sampler, every schedule and every model.

`sample` runs all steps. `begin` and `advance` run the same loop in chunks, so that progress can be
shown between them: a chunk is one scan of fixed length, of which any number of steps is taken, so
that the same compiled program serves however often somebody looks, with the same bits.

Image j of a batch depends on its key alone: not on its place in the batch, the size of the batch or
the number of devices.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from glide_jax.diffusion.caching import CachedDenoiser
from glide_jax.diffusion.samplers import Noise, Sampler, fixed_noise
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser, Prediction

_INITIAL_NOISE = 0  # what an image's key is folded with for x_T; step i takes i + 1,
_NEXT_SAMPLE = 2**20  # and so much more for each further noise sample of that step;
_AUGMENTATION_NOISE = 2**32 - 1  # noise-conditioning augmentation is independent of them all


class Carry(NamedTuple):
    """The state of the loop between two steps.

    Attributes:
        x_t: f32[b h w c].
        sampler_state: what the sampler remembers, see `Sampler.init`.
        x_0_hat: f32[b h w c], the last step's estimate of x_0; zeros before the first.
        features: the last step's deep features, see `caching`; None: none are kept.
    """

    x_t: Array
    sampler_state: Any
    x_0_hat: Array
    features: Any = None


def image_keys(seed_key: Array, indices: Array | Sequence[int]) -> Array:
    """A key for each image, from its seed's key and its index.

    Args:
        seed_key: a typed key, key[], or one for each image, key[b].
        indices: i32[b], each ≥ 0: which images of this seed.

    Returns:
        key[b].
    """
    indices = jnp.asarray(indices)
    return jax.vmap(jax.random.fold_in)(jnp.broadcast_to(seed_key, indices.shape), indices)


def initial_noise(keys: Array, shape: tuple[int, ...]) -> Array:
    """x_T: standard normal, each image from its own key.

    Args:
        keys: key[b].
        shape: (h, w, c), of one image.

    Returns:
        f32[b h w c].
    """
    return _normal(keys, _INITIAL_NOISE, shape)


def augmentation_noise(keys: Array, shape: tuple[int, ...]) -> Array:
    """Standard normal noise for noise-conditioning augmentation of low-resolution images.

    Args:
        keys: key[b].
        shape: (h, w, c), of one image.

    Returns:
        f32[b h w c], independent of initial_noise and of every step's.
    """
    return _normal(keys, _AUGMENTATION_NOISE, shape)


def step_noise(keys: Array, i: Array, shape: tuple[int, ...], k: Array | int = 0) -> Array:
    """The noise of step i: standard normal, each image from its own key.

    Args:
        keys: key[b].
        i: i32[], index into the schedule that is run, below 2²⁰.
        shape: (h, w, c), of one image.
        k: i32[], in [0, 2048): which of the step's noise samples.

    Returns:
        f32[b h w c], independent over steps and k and of initial_noise.
    """
    return _normal(keys, i + 1 + k * _NEXT_SAMPLE, shape)


def noise_source(
    given: Array | None, keys: Array | None, i: Array, shape: tuple[int, ...]
) -> Noise:
    """The noise of step i: the array that was given, or else step_noise of the keys.

    Args:
        given: f32[b h w c].
        keys: key[b].
        i: i32[], index into the schedule that is run.
        shape: (h, w, c), of one image.

    Raises:
        ValueError: both are given, or neither; when called, if one array was given and a second
            noise sample is requested.
    """
    if given is None and keys is not None:
        return lambda k: step_noise(keys, i, shape, k)
    if given is not None and keys is None:
        return fixed_noise(given)
    raise ValueError("give either keys or noise")


def _normal(keys: Array, number: Array | int, shape: tuple[int, ...]) -> Array:
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, number), shape))(keys)


def sample(
    sampler: Sampler,
    denoiser: Denoiser,
    schedule: Schedule,
    x_T: Array,
    keys: Array | None = None,
    noise: Array | None = None,
    start: Array | None = None,
) -> Array:
    """Images from noise, from the schedule's last step to its first.

    Args:
        sampler: how a step is taken.
        denoiser: with guidance and thresholds already around it.
        schedule: of the S steps to take, see kept_timesteps.
        x_T: f32[b h w c], standard normal, see initial_noise; with start, x_t at that step: an
            image that q_sample noised to it.
        keys: key[b], each image's source of noise; or
        noise: f32[S b h w c], noise[k] for index S - 1 - k: the noisiest step first.
        start: i32[], in [0, S): the first step taken; noisier ones are skipped, and cost nothing.
            None: S - 1. Another start doesn't compile again.

    Returns:
        x_0: f32[b h w c], in [-1, 1] as far as the denoiser keeps it there.

    Raises:
        ValueError: both keys and noise are given, or neither; the sampler needs several noise
            samples a step, and noise has one; a gradient shifts the mean, and the sampler has none.
    """
    loop = _Loop(sampler, denoiser, schedule, keys)
    steps = _all_steps(schedule)
    taken = None if start is None else steps <= start
    carry, _ = loop.run(begin(sampler, x_T), steps, taken, noise, record=False)
    return carry.x_t


def sample_x_0_hats(
    sampler: Sampler,
    denoiser: Denoiser,
    schedule: Schedule,
    x_T: Array,
    keys: Array | None = None,
    noise: Array | None = None,
) -> Array:
    """The estimate of x_0 at each step of the same run of `sample`; S times its memory.

    Args and Raises: those of `sample`.

    Returns:
        f32[S b h w c], in the order in which the steps were taken.
    """
    loop = _Loop(sampler, denoiser, schedule, keys)
    return loop.run(begin(sampler, x_T), _all_steps(schedule), None, noise, record=True)[1]


def begin(sampler: Sampler, x_T: Array, features: Any = None) -> Carry:
    """The state before the first step.

    Args:
        sampler, x_T: as for `sample`.
        features: of a CachedDenoiser, of any values: the first step computes them anew; None: of
            a Denoiser.
    """
    return Carry(x_T, sampler.init(x_T), jnp.zeros_like(x_T), features)


def advance(
    sampler: Sampler,
    denoiser: Denoiser | CachedDenoiser,
    schedule: Schedule,
    carry: Carry,
    first: Array,
    count: Array,
    keys: Array,
    *,
    length: int,
) -> Carry:
    """Take a chunk of the steps that `sample` takes.

    Args:
        sampler, denoiser, schedule, keys: as for `sample`; a CachedDenoiser keeps its features from
            chunk to chunk.
        carry: the state after the chunk before, or `begin`.
        first: i32[], in [0, S): the chunk's first step, an index into the schedule; S - 1 comes
            first of all.
        count: i32[], in [0, length]: how many steps are taken; index 0 is the last there is.
        length: of the scan. Static: another first or count doesn't compile again.

    Returns:
        The state after those steps; after index 0 its x_t is x_0.

    Raises:
        ValueError: as `sample`.
    """
    offsets = jnp.arange(length)
    steps = first - offsets
    taken = (offsets < count) & (steps >= 0)
    return _Loop(sampler, denoiser, schedule, keys).run(carry, steps, taken, None, record=False)[0]


def _all_steps(schedule: Schedule) -> Array:
    """i32[S], the noisiest step first."""
    return jnp.arange(schedule.num_steps - 1, -1, -1)


class _Loop(NamedTuple):
    """The scan, and what stays the same over its steps."""

    sampler: Sampler
    denoiser: Denoiser | CachedDenoiser
    schedule: Schedule
    keys: Array | None

    def run(
        self, carry: Carry, steps: Array, taken: Array | None, noise: Array | None, *, record: bool
    ) -> tuple[Carry, Any]:
        """Take those of the steps that are `taken` (None: all); record: each one's x_0_hat too."""

        def take(carry: Carry, i: Array, given: Array | None) -> Carry:
            source = noise_source(given, self.keys, i, carry.x_t.shape[1:])
            x_t, state = carry.x_t, carry.sampler_state
            denoiser, features = self.denoiser_of(i, carry)
            denoiser = _without_mean_gradient(denoiser, self.sampler)
            after = self.sampler.update(denoiser, self.schedule, i, x_t, state, source)
            return Carry(*after, features)

        def step(carry: Carry, per_step: tuple[Array, Array | None, Array | None]):
            i, is_taken, given = per_step
            if is_taken is None:
                carry = take(carry, i, given)
            else:
                skip = lambda carry, i, given: carry  # noqa: E731
                carry = jax.lax.cond(is_taken, take, skip, carry, i, given)
            return carry, (carry.x_0_hat if record else None)

        return jax.lax.scan(step, carry, (steps, taken, noise))

    def denoiser_of(self, i: Array, carry: Carry) -> tuple[Denoiser, Any]:
        """The denoiser of step i, and the features that it has."""
        if not isinstance(self.denoiser, CachedDenoiser):
            return self.denoiser, carry.features
        features = self.denoiser.features(i, carry.x_t, carry.features)
        return self.denoiser.given(features), features


def _without_mean_gradient(denoiser: Denoiser, sampler: Sampler) -> Denoiser:
    """The denoiser, checked not to set a gradient that this sampler would ignore."""
    if sampler.gradient_shifts == "mean":
        return denoiser

    def checked(x_t: Array, t: Array) -> Prediction:
        prediction = denoiser(x_t, t)
        if prediction.mean_gradient is not None:
            raise ValueError(
                "this sampler has no mean that a gradient could shift; use shift_score"
            )
        return prediction

    return checked
