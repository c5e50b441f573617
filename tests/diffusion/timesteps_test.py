"""Timesteps follow the distribution promised, and their weights keep the mean loss unbiased."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glide_jax.diffusion.timesteps import (
    HISTORY,
    TIMESTEPS,
    UNIFORM_SHARE,
    loss_second_moment,
    step_probabilities,
)

T = 6
KEYS = jax.random.split(jax.random.key(0), 20_000)


def remembered(losses):
    """What is known once each step t has had the losses `losses[t]`, f32[T n]."""
    timesteps = loss_second_moment(T)
    memory = timesteps.memory
    for column in np.asarray(losses, np.float32).T:
        memory = timesteps.update(memory, jnp.arange(T), jnp.asarray(column))
    return memory


def test_uniform_sampling_is_uniform_with_weights_of_one():
    timesteps = TIMESTEPS["uniform"](T)
    t, weight = timesteps.sample(timesteps.memory, KEYS)
    assert (weight == 1).all()
    np.testing.assert_allclose(np.bincount(t, minlength=T) / len(t), 1 / T, atol=0.01)


def test_the_first_step_alone():
    t, weight = TIMESTEPS["first"](T).sample({}, KEYS[:5])
    assert (t == 0).all()
    assert (weight == 1).all()


@pytest.mark.newest
def test_steps_are_sampled_by_the_root_of_their_second_moment():
    """Losses of ±: the mean is the same 1 for each step, the second moment is not."""
    spread = np.arange(T) / T * np.ones((HISTORY, 1))
    sign = np.where(np.arange(HISTORY) % 2, 1, -1)[:, None]
    memory = remembered((1 + sign * spread).T)
    expected = np.sqrt(1 + (np.arange(T) / T) ** 2)
    expected = (1 - UNIFORM_SHARE) * expected / expected.sum() + UNIFORM_SHARE / T
    np.testing.assert_allclose(step_probabilities(memory), expected, rtol=1e-5)
    t, weight = loss_second_moment(T).sample(memory, KEYS)
    np.testing.assert_allclose(np.bincount(t, minlength=T) / len(t), expected, atol=0.012)
    np.testing.assert_allclose(weight, 1 / (T * expected[np.asarray(t)]), rtol=1e-4)


def test_weighted_losses_have_the_mean_of_even_ones_and_less_spread():
    losses = np.array([8.0, 4.0, 1.0, 0.5, 0.1, 0.0])
    memory = remembered(np.repeat(losses[:, None], HISTORY, axis=1))
    t, weight = loss_second_moment(T).sample(memory, KEYS)
    assert set(np.unique(t)) == set(range(T)) - {5} or set(np.unique(t)) == set(range(T))
    drawn = np.asarray(weight) * losses[np.asarray(t)]
    assert drawn.mean() == pytest.approx(losses.mean(), rel=0.01)
    assert drawn.std() < 0.1 * losses.std()


@pytest.mark.newest
def test_before_every_step_has_its_losses_all_are_as_likely():
    losses = np.arange(1, T + 1)[:, None] * np.ones((1, HISTORY - 1))
    memory = remembered(losses)
    np.testing.assert_allclose(step_probabilities(memory), 1 / T, rtol=1e-6)
    timesteps = loss_second_moment(T)
    memory = timesteps.update(memory, jnp.arange(T - 1), jnp.ones(T - 1))
    np.testing.assert_allclose(step_probabilities(memory), 1 / T, rtol=1e-6)
    memory = timesteps.update(memory, jnp.array([T - 1]), jnp.ones(1))
    assert step_probabilities(memory)[-1] > 2 * step_probabilities(memory)[0]


def test_losses_all_zero_leave_every_step_as_likely():
    np.testing.assert_allclose(step_probabilities(remembered(np.zeros((T, HISTORY)))), 1 / T)


@pytest.mark.newest
@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_batch_is_remembered_as_its_images_would_be_one_by_one(size):
    timesteps = loss_second_moment(T)
    rng = np.random.default_rng(0)
    memory, last = timesteps.memory, [[] for _ in range(T)]
    for _ in range(200 // size):
        t, losses = rng.integers(0, T, size), rng.random(size).astype(np.float32)
        memory = timesteps.update(memory, jnp.asarray(t), jnp.asarray(losses))
        for i, loss in zip(t, losses, strict=True):
            last[i] = [*last[i], loss][-HISTORY:]
    for i in range(T):
        assert sorted(np.asarray(memory["losses"][i])) == sorted(last[i])
    assert memory["counts"].sum() == 200 // size * size


def test_an_images_step_does_not_depend_on_the_batch():
    timesteps = loss_second_moment(T)
    memory = remembered(np.arange(1, T + 1)[:, None] * np.ones((1, HISTORY)))
    t, _ = timesteps.sample(memory, KEYS[:8])
    first, _ = timesteps.sample(memory, KEYS[:3])
    np.testing.assert_array_equal(t[:3], first)
