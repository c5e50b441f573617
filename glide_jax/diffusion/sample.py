"""The one loop: every sampler, every schedule, every model is driven by this lax.scan.

Picture j of a batch depends on its key alone: not on its place in the batch, the batch's size or
the number of devices.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from glide_jax.diffusion.samplers import Sampler
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser

_INITIAL_NOISE = 0  # what a picture's key is folded with for x_T; step i takes i + 1


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


def step_noise(keys: Array, i: Array, shape: tuple[int, ...]) -> Array:
    """The noise of step i: standard normal, each picture from its own key.

    Args:
        keys: key[b].
        i: i32[], index into the schedule that is run.
        shape: (h, w, c), of one picture.

    Returns:
        f32[b h w c], independent over steps and of initial_noise.
    """
    return _normal(keys, i + 1, shape)


def given_or_drawn(
    given: Array | None, keys: Array | None, i: Array, shape: tuple[int, ...]
) -> Array:
    """The noise of step i that was given, f32[b h w c], or else step_noise of the keys.

    Raises:
        ValueError: both are given, or neither.
    """
    if given is None and keys is not None:
        return step_noise(keys, i, shape)
    if given is not None and keys is None:
        return given
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
) -> Array:
    """Pictures out of noise, from the schedule's last step to its first.

    Args:
        sampler: how a step is taken.
        denoiser: guidance and thresholds already around it.
        schedule: of the S steps to take, see kept_timesteps.
        x_T: f32[b h w c], standard normal, see initial_noise.
        keys: key[b], a picture's source of noise; or
        noise: f32[S b h w c], noise[k] for the k-th step taken, the noisiest first.

    Returns:
        x_0: f32[b h w c], in [-1, 1] as far as the denoiser keeps it there.

    Raises:
        ValueError: both keys and noise are given, or neither.
    """
    return _run(sampler, denoiser, schedule, x_T, keys, noise, record=False)[0]


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
    return _run(sampler, denoiser, schedule, x_T, keys, noise, record=True)[1]


def _run(
    sampler: Sampler,
    denoiser: Denoiser,
    schedule: Schedule,
    x_T: Array,
    keys: Array | None,
    noise: Array | None,
    record: bool,
) -> tuple[Array, Any]:
    def step(carry, per_step):
        x_t, state = carry
        i, given = per_step
        eps = given_or_drawn(given, keys, i, x_t.shape[1:])
        x_prev, state, x_0_hat = sampler.update(denoiser, schedule, i, x_t, state, eps)
        return (x_prev, state), (x_0_hat if record else None)

    noisiest_first = jnp.arange(schedule.num_steps - 1, -1, -1)
    start = (x_T, sampler.init(x_T))
    (x_0, _), x_0_hats = jax.lax.scan(step, start, (noisiest_first, noise))
    return x_0, x_0_hats
