import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import normal, schedules, toy_network

from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.guidance import clip_x_0
from glide_jax.diffusion.sample import (
    advance,
    begin,
    image_keys,
    initial_noise,
    sample,
    sample_x_0_hats,
    step_noise,
)
from glide_jax.diffusion.samplers import Sampler, ddim, ddpm, plms

SHAPE = (4, 4, 3)
FULL, KEPT = schedules(respacing="10")
TOY = clip_x_0(denoiser_from(toy_network, FULL, "eps"), FULL)
KEYS = image_keys(jax.random.key(0), [0, 1])


def test_a_images_key_is_its_seed_and_number():
    seed, data = jax.random.key(3), jax.random.key_data
    both, second = image_keys(seed, [5, 9]), image_keys(seed, jnp.array([9]))
    np.testing.assert_array_equal(data(both)[1:], data(second))
    assert len(np.unique(data(image_keys(seed, range(20))), axis=0)) == 20


def test_noise_is_standard_normal_and_new_for_every_step_draw_and_image():
    shape = (32, 32, 3)
    draws = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2)]
    steps = [step_noise(KEYS, jnp.array(i), shape, k) for i, k in draws]
    flat = np.stack([initial_noise(KEYS, shape), *steps]).reshape(14, -1)
    # 3,072 pixels a row: a correlation's own deviation is 0.018.
    np.testing.assert_allclose(np.corrcoef(flat), np.eye(14), atol=0.08)
    np.testing.assert_allclose(flat.mean(), 0, atol=0.02)
    np.testing.assert_allclose(flat.std(), 1, atol=0.02)


def test_a_images_run_depends_on_its_key_alone():
    def run(keys):
        return sample(ddpm("posterior"), TOY, KEPT, initial_noise(keys, SHAPE), keys)

    seed = jax.random.key(0)
    four, one = run(image_keys(seed, [4, 5, 6, 7])), run(image_keys(seed, [6]))
    np.testing.assert_allclose(four[2], one[0], atol=1e-5)
    assert np.abs(four[1] - four[2]).max() > 0.1


def test_given_noise_is_used_noisiest_step_first():
    x_T = initial_noise(KEYS, SHAPE)
    noise = jnp.stack([step_noise(KEYS, jnp.array(i), SHAPE) for i in range(9, -1, -1)])
    drawn = sample(ddpm("posterior"), TOY, KEPT, x_T, keys=KEYS)
    given = sample(ddpm("posterior"), TOY, KEPT, x_T, noise=noise)
    np.testing.assert_allclose(drawn, given, atol=1e-5)


def test_the_denoiser_is_told_original_steps_from_the_last_to_the_first():
    """A sampler that remembers what it was told; state goes round the loop."""

    def told(x_t, t):
        return TOY(x_t, t)._replace(variance_fraction=t.reshape(-1, 1, 1, 1).astype(jnp.float32))

    def update(denoiser, schedule, i, x_t, state, noise):
        t = jnp.broadcast_to(schedule.timesteps[i], x_t.shape[:1])
        state = state.at[i].set(denoiser(x_t, t).variance_fraction[0, 0, 0, 0])
        return jnp.broadcast_to(state.sum(), x_t.shape), state, x_t

    recorder = Sampler(lambda x_T: jnp.zeros(KEPT.num_steps), update, "score")
    found = sample(recorder, told, KEPT, normal((2, *SHAPE)), keys=KEYS)
    np.testing.assert_array_equal(found, float(KEPT.timesteps.sum()))


@pytest.mark.parametrize("both", [True, False])
def test_noise_must_have_one_source(both):
    x_T = normal((2, *SHAPE))
    source = {"keys": KEYS, "noise": normal((10, 2, *SHAPE))} if both else {}
    with pytest.raises(ValueError, match="either keys or noise"):
        sample(ddpm("posterior"), TOY, KEPT, x_T, **source)


def test_given_noise_is_one_draw_a_step():
    def update(denoiser, schedule, i, x_t, state, noise):
        return noise(0) + noise(1), state, x_t

    greedy = Sampler(lambda x_T: (), update, "score")
    noise = normal((10, 2, *SHAPE))
    with pytest.raises(ValueError, match="pass keys instead of noise"):
        sample(greedy, TOY, KEPT, noise[0], noise=noise)
    found = sample(greedy, TOY, KEPT, noise[0], keys=KEYS)
    last = [step_noise(KEYS, jnp.array(0), SHAPE, k) for k in (0, 1)]
    np.testing.assert_allclose(found, last[0] + last[1], atol=1e-6)


def counting(calls):
    """TOY, telling the list of each call that is really computed."""

    def denoiser(x_t, t):
        jax.debug.callback(lambda t: calls.append(int(t)), t[0])
        return TOY(x_t, t)

    return denoiser


def test_steps_above_the_start_are_not_computed():
    calls = []
    noise = normal((10, 2, *SHAPE))

    @jax.jit
    def run(start):
        return sample(ddim(0.0), counting(calls), KEPT, noise[0], noise=noise, start=start)

    for start in (9, 3, 0):
        calls.clear()
        run(jnp.int32(start)).block_until_ready()
        jax.effects_barrier()
        assert sorted(calls) == list(KEPT.timesteps[: start + 1])


@pytest.mark.newest
@pytest.mark.parametrize("length", [1, 4, 16])
@pytest.mark.parametrize("make", [lambda: ddim(0.5), plms], ids=["ddim", "plms"])
def test_steps_taken_in_chunks_are_the_loop_s(make, length):
    sampler, x_T = make(), normal((2, *SHAPE))
    hats = sample_x_0_hats(sampler, TOY, KEPT, x_T, KEYS)
    for every in {1, 3, length}:
        carry, left = begin(sampler, x_T), 10
        while left:
            count = min(every, left, length)
            counts = jnp.int32(left - 1), jnp.int32(count)
            carry = advance(sampler, TOY, KEPT, carry, *counts, KEYS, length=length)
            left -= count
            np.testing.assert_allclose(carry.x_0_hat, hats[9 - left], atol=1e-5)
        np.testing.assert_allclose(carry.x_t, sample(sampler, TOY, KEPT, x_T, KEYS), atol=1e-5)
