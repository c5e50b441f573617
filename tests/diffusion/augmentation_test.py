"""Noise-conditioning augmentation: what noise on which image, and what the model is given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glide_jax.diffusion.augmentation import augmentation_step, augmented
from glide_jax.diffusion.schedule import BETAS

RNG = np.random.default_rng(0)
LOW_RES = RNG.uniform(-1, 1, (3, 4, 6, 3)).astype(np.float32)
LEVEL = np.array([0.0, 0.25, 0.999], np.float32)
SQUARED_COSINE = BETAS["squared_cosine"](1000)


def twice(low_res):
    """Each pixel four times."""
    return jnp.repeat(jnp.repeat(low_res, 2, axis=1), 2, axis=2)


def noise_of(shape):
    """A normal sample of any shape, the same each time."""
    return jnp.asarray(np.random.default_rng(1).standard_normal((3, *shape)), jnp.float32)


def test_noise_at_low_resolution_has_the_level_as_its_standard_deviation():
    low_res, level = augmented(jnp.asarray(LOW_RES), jnp.asarray(LEVEL), noise_of, None)
    expected = LOW_RES + LEVEL[:, None, None, None] * np.asarray(noise_of((4, 6, 3)))
    np.testing.assert_allclose(low_res, expected, atol=1e-6)
    np.testing.assert_array_equal(level, LEVEL)


def test_an_image_that_is_enlarged_first_is_noised_as_by_the_process():
    low_res, level = augmented(jnp.asarray(LOW_RES), jnp.asarray(LEVEL), noise_of, twice)
    assert low_res.shape == (3, 8, 12, 3)
    np.testing.assert_allclose(level, LEVEL, atol=1e-6)
    alpha_bar = np.cumprod(1 - SQUARED_COSINE)[[0, 250, 999]].reshape(3, 1, 1, 1)
    signal = np.sqrt(alpha_bar) * np.asarray(twice(jnp.asarray(LOW_RES)))
    noise = np.sqrt(1 - alpha_bar) * np.asarray(noise_of((8, 12, 3)))
    np.testing.assert_allclose(low_res, signal + noise, atol=1e-5)


def test_an_image_depends_on_its_own_level_alone():
    for enlarge in (None, twice):
        both = augmented(jnp.asarray(LOW_RES), jnp.asarray(LEVEL), noise_of, enlarge)
        other = jnp.asarray(LEVEL).at[1].set(0.5)
        changed = augmented(jnp.asarray(LOW_RES), other, noise_of, enlarge)
        differs = jnp.abs(both[0] - changed[0]).max(axis=(1, 2, 3)) > 0
        assert differs.tolist() == [False, True, False]


@pytest.mark.parametrize("compiled", [False, True])
def test_every_thousandth_is_its_step(compiled):
    step = jax.jit(augmentation_step) if compiled else augmentation_step
    thousandths = np.arange(1000, dtype=np.float64) / 1000
    np.testing.assert_array_equal(step(thousandths.astype(np.float32)), np.arange(1000))


def test_levels_between_are_rounded_down_and_those_outside_are_brought_inside():
    levels = jnp.array([0.0015, 0.2509, 1.0, 3.0, -1.0])
    np.testing.assert_array_equal(augmentation_step(levels), [1, 250, 999, 999, 0])
