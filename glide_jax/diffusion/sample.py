"""The one loop: every sampler, every schedule, every model is driven by this lax.scan.

Who wants to look at the picture between two steps takes them one by one: `begin`, then `advance`,
which is the loop's body, for each.

Picture j of a batch depends on its key alone: not on its place in the batch, the batch's size or
the number of devices.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from glide_jax.diffusion.samplers import Noise, Sampler, one_draw
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser, Prediction

_INITIAL_NOISE = 0  # what a picture's key is folded with for x_T; step i takes i + 1,
_NEXT_DRAW = 2**20  # and so much more for each further draw of that step;
_TOLD_NOISE = 2**32 - 1  # what a picture is told is noised apart from all of them

Carry = tuple[Array, Any]
"""(x_t: f32[b h w c], the sampler's state), between two steps."""


def picture_keys(seed_key: Array, indices: Array | Sequence[int]) -> Array:
    """A key for each picture, from the seed's and the picture's number.

    Args:
        seed_key: a typed key, key[].
        indices: i32[b], each ≥ 0: which pictures of this seed.

    Returns:
        key[b].
    """
    return jax.vmap(lambda index: jax.random.fold_in(seed_key, index))(jnp.asarray(indices))


def initial_noise(keys: Array, shape: tuple[int, ...]) -> Array:
    """x_T: standard normal, each picture from its own key.

    Args:
        keys: key[b].
        shape: (h, w, c), of one picture.

    Returns:
        f32[b h w c].
    """
    return _normal(keys, _INITIAL_NOISE, shape)


def told_noise(keys: Array, shape: tuple[int, ...]) -> Array:
    """Noise on what each picture is told, such as a low-res one: standard normal.

    Args:
        keys: key[b].
        shape: (h, w, c), of one.

    Returns:
        f32[b h w c], independent of initial_noise and of every step's.
    """
    return _normal(keys, _TOLD_NOISE, shape)


def step_noise(keys: Array, i: Array, shape: tuple[int, ...], k: Array | int = 0) -> Array:
    """The noise of step i: standard normal, each picture from its own key.

    Args:
        keys: key[b].
        i: i32[], index into the schedule that is run, below 2²⁰.
        shape: (h, w, c), of one picture.
        k: i32[], in [0, 2048): which of the step's draws.

    Returns:
        f32[b h w c], independent over steps and draws and of initial_noise.
    """
    return _normal(keys, i + 1 + k * _NEXT_DRAW, shape)


def given_or_drawn(
    given: Array | None, keys: Array | None, i: Array, shape: tuple[int, ...]
) -> Noise:
    """Step i's source of noise: the one draw that was given, or else step_noise of the keys.

    Args:
        given: f32[b h w c].
        keys: key[b].
        i: i32[], index into the schedule that is run.
        shape: (h, w, c), of one picture.

    Raises:
        ValueError: both are given, or neither; when called, if one draw was given and another is
            asked for.
    """
    if given is None and keys is not None:
        return lambda k: step_noise(keys, i, shape, k)
    if given is not None and keys is None:
        return one_draw(given)
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
    """Pictures out of noise, from the schedule's last step to its first.

    Args:
        sampler: how a step is taken.
        denoiser: guidance and thresholds already around it.
        schedule: of the S steps to take, see kept_timesteps.
        x_T: f32[b h w c], standard normal, see initial_noise; with start, x_t at that step: a
            picture that q_sample noised to it.
        keys: key[b], a picture's source of noise; or
        noise: f32[S b h w c], noise[k] for index S - 1 - k: the noisiest step first.
        start: i32[], in [0, S): the first step taken; those noisier are skipped, and cost nothing.
            None: S - 1. Another start doesn't compile again.

    Returns:
        x_0: f32[b h w c], in [-1, 1] as far as the denoiser keeps it there.

    Raises:
        ValueError: both keys and noise are given, or neither; the sampler needs several draws a
            step, and noise has one; a gradient shifts the mean, and the sampler has none.
    """
    run = (sampler, denoiser, schedule, x_T, keys, noise)
    return _run(*run, start=start, record=False)[0]


def sample_x_0_hats(
    sampler: Sampler,
    denoiser: Denoiser,
    schedule: Schedule,
    x_T: Array,
    keys: Array | None = None,
    noise: Array | None = None,
) -> Array:
    """What the same run of `sample` took x_0 to be at each step; S times its memory.

    Args and Raises: those of `sample`.

    Returns:
        f32[S b h w c], in the order the steps were taken.
    """
    run = (sampler, denoiser, schedule, x_T, keys, noise)
    return _run(*run, start=None, record=True)[1]


def begin(sampler: Sampler, x_T: Array) -> Carry:
    """What the first step is given; x_T as for `sample`."""
    return x_T, sampler.init(x_T)


def advance(
    sampler: Sampler,
    denoiser: Denoiser,
    schedule: Schedule,
    carry: Carry,
    i: Array,
    keys: Array | None = None,
    noise: Array | None = None,
) -> tuple[Carry, Array]:
    """Take one step, as `sample` takes all of them.

    Args:
        sampler, denoiser, schedule, keys: as for `sample`.
        carry: what the step before gave, or `begin`.
        i: i32[], in [0, S): the step, an index into the schedule; S - 1 comes first.
        noise: f32[b h w c], of this step, in the place of keys.

    Returns:
        What the next step is given, whose picture is x_0 after i = 0; and x_0_hat: f32[b h w c].

    Raises:
        ValueError: as `sample`.
    """
    x_t, state = carry
    source = given_or_drawn(noise, keys, i, x_t.shape[1:])
    denoiser = _without_mean_gradient(denoiser, sampler)
    x_prev, state, x_0_hat = sampler.update(denoiser, schedule, i, x_t, state, source)
    return (x_prev, state), x_0_hat


def _run(
    sampler: Sampler,
    denoiser: Denoiser,
    schedule: Schedule,
    x_T: Array,
    keys: Array | None,
    noise: Array | None,
    start: Array | None,
    record: bool,
) -> tuple[Array, Any]:
    def take(carry, i, given):
        carry, x_0_hat = advance(sampler, denoiser, schedule, carry, i, keys, given)
        return carry, (x_0_hat if record else None)

    def step(carry, per_step):
        if start is None:
            return take(carry, *per_step)
        skip = lambda carry, i, given: (carry, None)  # noqa: E731
        return jax.lax.cond(per_step[0] <= start, take, skip, carry, *per_step)

    noisiest_first = jnp.arange(schedule.num_steps - 1, -1, -1)
    carry, x_0_hats = jax.lax.scan(step, begin(sampler, x_T), (noisiest_first, noise))
    return carry[0], x_0_hats


def _without_mean_gradient(denoiser: Denoiser, sampler: Sampler) -> Denoiser:
    """The denoiser, unless it sets a gradient that this sampler would not look at."""
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
