"""When deep features are computed anew, and what a step is evaluated with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import normal, schedules

from glide_jax.diffusion import caching
from glide_jax.diffusion.caching import CachedDenoiser
from glide_jax.diffusion.guidance import clip_x_0
from glide_jax.diffusion.sample import advance, begin, image_keys, sample
from glide_jax.diffusion.samplers import SAMPLERS, ddim, repaint
from glide_jax.types import Prediction

FULL, TAKEN = schedules(respacing="10")
TIMESTEPS = np.asarray(TAKEN.timesteps)
LAST = TAKEN.num_steps - 1
KEYS = image_keys(jax.random.key(0), [0, 1])
X_T = normal((2, 4, 4, 3))


def seen(x_t, t):
    """Features that say when they were computed."""
    return t.astype(jnp.float32)


def by_step(features, rows):
    """f32[S, rows]: for each step, the noisiest first, the timestep that its rows are of."""

    def step(kept, i):
        kept = features(i, X_T, kept)
        return kept, kept

    return jax.lax.scan(step, -jnp.ones(rows), jnp.arange(LAST, -1, -1))[1]


@jax.jit
def unguided(interval, first):
    return by_step(caching.every(interval, first, seen, TAKEN), 2)


@pytest.mark.parametrize("first", [LAST, 6, 0])
@pytest.mark.parametrize("interval", [1, 2, 3, 20])
def test_features_are_of_the_last_step_that_was_due(interval, first):
    found = unguided(jnp.int32(interval), jnp.int32(first))[LAST - first :]
    due = [first - k // interval * interval for k in range(first + 1)]
    np.testing.assert_array_equal(found, TIMESTEPS[due][:, None].repeat(2, 1))


BATCHES = []


@jax.jit
def guided(interval, where):
    def counted(x_t, t):
        jax.debug.callback(lambda t: BATCHES.append((int(t), len(x_t))), t[0])
        return seen(x_t, t)

    when = interval, jnp.int32(LAST)
    return by_step(caching.every_guided(*when, counted, counted, TAKEN, (where, FULL.num_steps)), 4)


@pytest.mark.parametrize("interval", [1, 2, 3, 20])
@pytest.mark.parametrize("where", [(0.25, 0.65), (0.0, 0.5), (0.5, 1.0), (0.9995, 1.0)], ids=str)
def test_the_null_condition_s_half_is_computed_where_there_is_guidance(interval, where):
    BATCHES.clear()
    found = np.asarray(guided(jnp.int32(interval), jnp.float32(where)))
    jax.effects_barrier()
    np.testing.assert_array_equal(found, found[:, [0, 0, 2, 2]])
    conditional, null, t = found[:, 0], found[:, 2], TIMESTEPS[::-1]
    inside = (where[0] <= t / FULL.num_steps) & (t / FULL.num_steps < where[1])
    needed = inside | np.append(inside[1:], False)  # for a sampler's second evaluation, at the next
    begins = needed & ~np.insert(needed, 0, True)[:-1]
    due = begins | (np.arange(LAST + 1) % interval == 0)
    np.testing.assert_array_equal(conditional == t, due)
    np.testing.assert_array_equal(null[needed], conditional[needed])
    computed = list(zip(t[due], np.where(needed, 4, 2)[due], strict=True))
    assert sorted(BATCHES, reverse=True) == computed


def deep(x_t, t):
    return 0.9 * x_t + t.reshape(-1, 1, 1, 1) / 1000


def given(features):
    """A toy that is clipped, of which the features are a half."""

    def network(x_t, t):
        return Prediction(jnp.tanh(features) - 0.2 * x_t**2)

    return clip_x_0(network, FULL)


def whole(x_t, t):
    return given(deep(x_t, t))(x_t, t)


def cached(interval):
    interval, first = jnp.int32(interval), jnp.int32(LAST)
    return CachedDenoiser(caching.every(interval, first, deep, TAKEN), given)


@jax.jit
def run_cached(interval):
    def run(sampler):
        carry, rest = begin(sampler, X_T, jnp.full_like(X_T, jnp.nan)), jnp.int32(LAST + 1)
        run = sampler, cached(interval), TAKEN, carry, jnp.int32(LAST), rest, KEYS
        return advance(*run, length=LAST + 1).x_t

    return {name: run(make(0.5)) for name, make in SAMPLERS.items()}


def test_at_interval_1_a_sampler_of_one_evaluation_is_what_it_is_without():
    found, others = run_cached(1), run_cached(2)
    for name, make in SAMPLERS.items():
        plain = sample(make(0.5), whole, TAKEN, X_T, KEYS)
        if name != "heun":  # whose second evaluation has the features of the first
            np.testing.assert_allclose(found[name], plain, atol=1e-5, err_msg=name)
        assert np.isfinite(others[name]).all()
        assert 1e-3 < np.abs(others[name] - plain).max() < 2, name


def test_features_go_from_chunk_to_chunk():
    sampler, carry = ddim(0.5), begin(ddim(0.5), X_T, jnp.full_like(X_T, jnp.nan))
    for first, count in ((9, 4), (5, 1), (4, 3), (1, 2)):  # the interval divides none of them
        numbers = jnp.int32(first), jnp.int32(count)
        carry = advance(sampler, cached(3), TAKEN, carry, *numbers, KEYS, length=4)
    np.testing.assert_allclose(carry.x_t, run_cached(3)["ddim"], atol=1e-5)


def test_repaint_repeats_a_step_with_its_features():
    image, mask = jnp.zeros_like(X_T), jnp.ones((2, 4, 4, 1)).at[:, 2:].set(0)
    sampler = repaint(ddim(0.0), image, mask, 2)
    carry = begin(sampler, X_T, jnp.full_like(X_T, jnp.nan))
    run = sampler, cached(4), TAKEN, carry, jnp.int32(LAST), jnp.int32(3), KEYS
    found = advance(*run, length=3)
    first = deep(X_T, jnp.full(2, TIMESTEPS[LAST]))
    np.testing.assert_allclose(found.features, first, atol=1e-6)
    assert np.isfinite(found.x_t).all()
