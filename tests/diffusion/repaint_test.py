import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import images, normal, optimal, schedules

from glide_jax.diffusion.gaussian import at
from glide_jax.diffusion.sample import image_keys, initial_noise, sample
from glide_jax.diffusion.samplers import SAMPLERS, repaint
from glide_jax.types import Prediction

pytestmark = pytest.mark.newest

FULL, KEPT = schedules(respacing="10")
every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def keys_of(batch):
    # Not the default generator: three samples of it in a loop take XLA ten times longer to compile.
    return image_keys(jax.random.key(0, impl="unsafe_rbg"), range(batch))


def half_known(size):
    return jnp.zeros((1, size, size, 1)).at[:, : size // 2].set(1.0)


def run(sampler, denoiser, kept, batch, size):
    keys = keys_of(batch)
    return sample(sampler, denoiser, kept, initial_noise(keys, (size, size, 3)), keys)


@every_sampler
@pytest.mark.parametrize("resamples", [1, 3])
def test_known_pixels_are_the_image_bit_for_bit(name, resamples):
    image = images(2)
    sampler = repaint(SAMPLERS[name](0.0), image, half_known(4), resamples)
    found = run(sampler, optimal(FULL, 0.3, 0.5), KEPT, 2, 4)
    np.testing.assert_array_equal(found[:, :2], image[:, :2])
    assert np.abs(found - image)[:, 2:].min() > 0
    assert np.all(np.isfinite(found))


def test_sampled_pixels_keep_their_mean_and_deviation():
    """Pixels that know nothing of each other: with p's own variance all of it is exact."""
    image = jnp.full((2, 64, 64, 3), -0.9)
    sampler = repaint(SAMPLERS["ddpm"](1.0), image, half_known(64), 2)
    sampled = run(sampler, optimal(FULL, 0.3, 0.5, learned=KEPT), KEPT, 2, 64)[:, 32:]
    np.testing.assert_allclose(np.mean(sampled), 0.3, atol=0.015)
    np.testing.assert_allclose(np.std(sampled), 0.5, atol=0.01)


def one_colour(x_t, t):
    """The best denoiser of images of one grey, standard normal: it sees the mean of x_t."""
    a, sigma = at(FULL.sqrt_alpha_bar, t, x_t), at(FULL.sqrt_one_minus_alpha_bar, t, x_t)
    pixels = x_t[0].size
    seen = x_t.mean(axis=(1, 2, 3), keepdims=True)
    grey = a * seen / (a**2 + sigma**2 / pixels)
    return Prediction((x_t - a * grey) / sigma)


def test_more_resamples_make_sampled_pixels_agree_with_known_ones():
    image = jnp.full((16, 4, 4, 3), 0.8)

    def away(resamples):
        sampler = repaint(SAMPLERS["ddpm"](1.0), image, half_known(4), resamples)
        return np.abs(run(sampler, one_colour, KEPT, 16, 4)[:, 2:] - 0.8).mean()

    once, ten = away(1), away(10)
    assert ten < 0.5 * once


def test_each_step_is_done_resamples_times_and_the_last_once():
    calls = []

    def counting(x_t, t):
        jax.debug.callback(lambda t: calls.append(int(t)), t[0])
        return optimal(FULL, 0.3, 0.5)(x_t, t)

    sampler = repaint(SAMPLERS["ddim"](0.0), images(2), half_known(4), 4)
    run(sampler, counting, KEPT, 2, 4).block_until_ready()
    jax.effects_barrier()
    assert sorted(calls) == sorted([0, *np.repeat(KEPT.timesteps[1:], 4)])


def test_a_image_does_not_depend_on_its_batch():
    """One step, with noise that is the same in both batches."""
    image, x_t, samples = images(8), normal((8, 4, 4, 3)), normal((9, 8, 4, 4, 3), seed=2)

    def step(batch):
        sampler = repaint(SAMPLERS["ddpm"](1.0), image[batch], half_known(4), 3)
        noise = lambda k: samples[k, batch]  # noqa: E731
        return sampler.update(one_colour, KEPT, jnp.array(5), x_t[batch], (), noise)[0]

    np.testing.assert_allclose(step(slice(0, 8))[2:3], step(slice(2, 3)), atol=1e-5)


def test_it_needs_keys_and_a_resample():
    sampler = repaint(SAMPLERS["ddim"](0.0), images(2), half_known(4), 1)
    noise = normal((10, 2, 4, 4, 3))
    with pytest.raises(ValueError, match="pass keys instead of noise"):
        sample(sampler, optimal(FULL, 0.3, 0.5), KEPT, noise[0], noise=noise)
    with pytest.raises(ValueError, match="1 or more"):
        repaint(sampler, images(2), half_known(4), 0)
