import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import normal, schedules, toy_network

from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.guidance import clip_x_0
from glide_jax.diffusion.sample import (
    initial_noise,
    picture_keys,
    sample,
    sample_x_0_hats,
    step_noise,
)
from glide_jax.diffusion.samplers import Sampler, ddpm

SHAPE = (4, 4, 3)
FULL, KEPT = schedules(respacing="10")
TOY = clip_x_0(denoiser_from(toy_network, FULL, "eps"), FULL)
KEYS = picture_keys(jax.random.key(0), [0, 1])


def test_a_pictures_key_is_its_seed_and_number():
    seed, data = jax.random.key(3), jax.random.key_data
    both, second = picture_keys(seed, [5, 9]), picture_keys(seed, jnp.array([9]))
    np.testing.assert_array_equal(data(both)[1:], data(second))
    assert len(np.unique(data(picture_keys(seed, range(20))), axis=0)) == 20


def test_noise_is_standard_normal_and_new_for_every_step_and_picture():
    shape = (32, 32, 3)
    steps = [step_noise(KEYS, jnp.array(i), shape) for i in range(4)]
    flat = np.stack([initial_noise(KEYS, shape), *steps]).reshape(10, -1)
    # 3,072 pixels a row: a correlation's own deviation is 0.018.
    np.testing.assert_allclose(np.corrcoef(flat), np.eye(10), atol=0.08)
    np.testing.assert_allclose(flat.mean(), 0, atol=0.02)
    np.testing.assert_allclose(flat.std(), 1, atol=0.02)


def test_a_pictures_run_depends_on_its_key_alone():
    def run(keys):
        return sample(ddpm(), TOY, KEPT, initial_noise(keys, SHAPE), keys)

    seed = jax.random.key(0)
    four, one = run(picture_keys(seed, [4, 5, 6, 7])), run(picture_keys(seed, [6]))
    np.testing.assert_allclose(four[2], one[0], atol=1e-5)
    assert np.abs(four[1] - four[2]).max() > 0.1


def test_given_noise_is_used_noisiest_step_first():
    x_T = initial_noise(KEYS, SHAPE)
    noise = jnp.stack([step_noise(KEYS, jnp.array(i), SHAPE) for i in range(9, -1, -1)])
    drawn = sample(ddpm(), TOY, KEPT, x_T, keys=KEYS)
    given = sample(ddpm(), TOY, KEPT, x_T, noise=noise)
    np.testing.assert_allclose(drawn, given, atol=1e-5)


def test_the_denoiser_is_told_original_steps_from_the_last_to_the_first():
    """A sampler that remembers what it was told; state goes round the loop."""

    def told(x_t, t):
        return TOY(x_t, t)._replace(variance_fraction=t.reshape(-1, 1, 1, 1).astype(jnp.float32))

    def update(denoiser, schedule, i, x_t, state, noise):
        t = jnp.broadcast_to(schedule.timesteps[i], x_t.shape[:1])
        state = state.at[i].set(denoiser(x_t, t).variance_fraction[0, 0, 0, 0])
        return jnp.broadcast_to(state.sum(), x_t.shape), state, x_t

    recorder = Sampler(lambda x_T: jnp.zeros(KEPT.num_steps), update)
    found = sample(recorder, told, KEPT, normal((2, *SHAPE)), keys=KEYS)
    np.testing.assert_array_equal(found, float(KEPT.timesteps.sum()))


def test_x_0_hats_end_in_the_picture():
    x_T = initial_noise(KEYS, SHAPE)
    noise = normal((10, 2, *SHAPE))
    hats = sample_x_0_hats(ddpm(), TOY, KEPT, x_T, noise=noise)
    assert hats.shape == (10, 2, *SHAPE)
    np.testing.assert_allclose(hats[-1], sample(ddpm(), TOY, KEPT, x_T, noise=noise), atol=1e-6)


@pytest.mark.parametrize("both", [True, False])
def test_noise_must_have_one_source(both):
    x_T = normal((2, *SHAPE))
    source = {"keys": KEYS, "noise": normal((10, 2, *SHAPE))} if both else {}
    with pytest.raises(ValueError, match="either keys or noise"):
        sample(ddpm(), TOY, KEPT, x_T, **source)
