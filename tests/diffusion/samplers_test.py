"""What every sampler must do, then what some of them alone must."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import images, normal, optimal, perfect, schedules, toy_network

from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.guidance import (
    classifier_free,
    clip_x_0,
    dynamic_threshold,
    guidance_interval,
    keep_known,
    shift_mean,
    shift_score,
)
from glide_jax.diffusion.sample import sample, sample_x_0_hats
from glide_jax.diffusion.samplers import SAMPLERS, ddim, ddpm, euler
from glide_jax.errors import UserError

pytestmark = pytest.mark.newest

SHAPE = (4, 4, 3)
FULL, _ = schedules()
LEARNED = clip_x_0(denoiser_from(toy_network, FULL, "eps"), FULL)


def eps_alone(x_t, t):
    return toy_network(x_t, t)[..., :3]


TOY = clip_x_0(denoiser_from(eps_alone, FULL, "eps"), FULL)


def random_run(sampler, denoiser, kept, batch=2, shape=SHAPE):
    """A run from numpy's noise: compiles faster than one that samples its own."""
    noise = normal((kept.num_steps, batch, *shape), seed=2)
    return sample(sampler, denoiser, kept, normal((batch, *shape)), noise=noise)


every_sampler = pytest.mark.parametrize("name", SAMPLERS)
# Only ddim evaluations at eta.
every_method = pytest.mark.parametrize(
    ("name", "eta"), [*((name, 0.0) for name in SAMPLERS), ("ddim", 1.0)]
)


@every_method
@pytest.mark.parametrize(
    ("betas", "respacing"),
    [
        ("linear", "fast27"),
        ("squared_cosine", "10"),
        ("squared_cosine", "logsnr20"),
        ("squared_cosine", "2"),
        ("linear", "1"),
    ],
)
def test_a_perfect_denoiser_gives_back_the_image(name, eta, betas, respacing):
    full, kept = schedules(betas, respacing)
    x_0 = images(2)
    found = random_run(SAMPLERS[name](eta), perfect(full, x_0), kept)
    np.testing.assert_allclose(found, x_0, atol=1e-4)


@every_method
def test_gaussian_data_gets_its_mean_and_deviation(name, eta):
    _, kept = schedules(respacing="250")
    x_0 = random_run(SAMPLERS[name](eta), optimal(FULL, 0.3, 0.5), kept, shape=(32, 64, 3))
    # 12,288 pixels: the mean to 0.005, the deviation to 0.003; the rest is the 250 steps' error.
    np.testing.assert_allclose(np.mean(x_0), 0.3, atol=0.015)
    np.testing.assert_allclose(np.std(x_0), 0.5, atol=0.02)


@every_sampler
def test_a_image_does_not_depend_on_its_batch(name):
    _, kept = schedules(respacing="10")
    x_T, noise = normal((8, *SHAPE)), normal((10, 8, *SHAPE), seed=2)
    eight = sample(SAMPLERS[name](1.0), TOY, kept, x_T, noise=noise)
    one = sample(SAMPLERS[name](1.0), TOY, kept, x_T[2:3], noise=noise[:, 2:3])
    np.testing.assert_allclose(eight[2], one[0], atol=1e-5)
    assert np.abs(eight[1] - eight[2]).max() > 0.1


@every_method
def test_known_pixels_come_out_as_they_are(name, eta):
    _, kept = schedules(respacing="10")
    image, mask = images(2), jnp.zeros((2, 4, 4, 1)).at[:, 1:3].set(1.0)
    denoiser = clip_x_0(keep_known(TOY, FULL, image, mask), FULL)
    found = random_run(SAMPLERS[name](eta), denoiser, kept)
    np.testing.assert_allclose(found[:, 1:3], image[:, 1:3], atol=1e-5)
    assert np.abs(found - image)[:, ::3].max() > 0.1


@every_sampler
def test_the_last_x_0_hat_is_the_image(name):
    _, kept = schedules(respacing="10")
    x_T, noise = normal((2, *SHAPE)), normal((10, 2, *SHAPE), seed=2)
    hats = sample_x_0_hats(SAMPLERS[name](1.0), TOY, kept, x_T, noise=noise)
    x_0 = sample(SAMPLERS[name](1.0), TOY, kept, x_T, noise=noise)
    np.testing.assert_allclose(hats[-1], x_0, atol=1e-6)


@every_sampler
def test_nothing_is_remembered_from_one_run_to_the_next(name):
    _, kept = schedules(respacing="10")
    sampler = SAMPLERS[name](1.0)

    @jax.jit
    def two_runs():
        first = random_run(sampler, TOY, kept)
        return first, random_run(sampler, lambda x_t, t: TOY(x_t + 0 * first, t), kept)

    np.testing.assert_allclose(*two_runs(), atol=1e-6)


@every_sampler
def test_another_start_equals_a_run_of_the_steps_that_are_left(name):
    """Also of the memory: the first step taken is a first step, wherever it is."""
    _, kept = schedules(respacing="ddim20")
    x_t, noise = normal((2, *SHAPE)), normal((20, 2, *SHAPE), seed=2)
    left = jax.tree.map(lambda field: field[:8], kept)
    found = sample(SAMPLERS[name](1.0), TOY, kept, x_t, noise=noise, start=jnp.array(7))
    expected = sample(SAMPLERS[name](1.0), TOY, left, x_t, noise=noise[12:])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@every_sampler
def test_a_gradient_moves_the_image_along_it_or_is_refused(name):
    _, kept = schedules(respacing="ddim10")
    sampler, up = SAMPLERS[name](0.0), lambda x_t, t: jnp.full_like(x_t, 0.3)
    plain = optimal(FULL, 0.0, 0.5)
    by_mean, by_score = shift_mean(plain, up), shift_score(plain, FULL, up)
    if sampler.gradient_shifts == "mean":
        shifted = by_mean
    else:
        shifted = by_score
        with pytest.raises(ValueError, match="use shift_score"):
            random_run(sampler, by_mean, kept)
    assert np.all(random_run(sampler, shifted, kept) > random_run(sampler, plain, kept))


@every_sampler
def test_nothing_compiles_again_but_for_another_number_of_steps(name):
    @jax.jit
    def run(eta, scale, quantile, interval, start, schedule, full, x_T, noise):
        model = denoiser_from(eps_alone, full, "eps")
        guided = guidance_interval(classifier_free(model, scale), model, interval, 1000)
        denoiser = dynamic_threshold(guided, full, quantile)
        return sample(SAMPLERS[name](eta), denoiser, schedule, x_T, noise=noise, start=start)

    def run_with(eta, scale, quantile, interval, start, respacing, betas):
        full, kept = schedules(betas, respacing)
        noise = normal((kept.num_steps, 2, *SHAPE))
        numbers = (jnp.asarray(value, jnp.float32) for value in (eta, scale, quantile, interval))
        found = run(*numbers, jnp.int32(start), kept, full, noise[0], noise)
        assert np.all(np.isfinite(found))

    run_with(0.0, 1.0, 0.9, [0, 1], 26, "10,10,3,2,2", "linear")
    run_with(0.5, 3.0, 0.99, [0, 1], 26, "27", "linear")
    run_with(1.0, 5.0, 0.9, [0.2, 0.7], 13, "fast27", "squared_cosine")
    assert run._cache_size() == 1
    run_with(0.0, 1.0, 0.9, [0, 1], 9, "10", "linear")
    assert run._cache_size() == 2


def test_euler_is_ddim_without_noise():
    _, kept = schedules(respacing="27")
    np.testing.assert_array_equal(
        *(random_run(sampler, TOY, kept) for sampler in (euler(), ddim(0.0)))
    )


def test_a_learned_variance_is_not_overruled():
    _, kept = schedules(respacing="10")
    with pytest.raises(UserError, match="use ddpm"):
        random_run(ddpm("beta"), LEARNED, kept)
    posterior = random_run(ddpm("posterior"), LEARNED, kept)
    assert np.abs(posterior - random_run(ddpm("posterior"), TOY, kept)).max() > 0.01


def test_the_fixed_variances_are_the_two_ends_of_the_learned_one():
    _, kept = schedules(respacing="10")

    def learned(fraction):
        return lambda x_t, t: TOY(x_t, t)._replace(variance_fraction=jnp.full_like(x_t, fraction))

    for variance, fraction in [("posterior", 0.0), ("beta", 1.0)]:
        fixed = random_run(ddpm(variance), TOY, kept)
        np.testing.assert_allclose(
            fixed, random_run(ddpm("posterior"), learned(fraction), kept), atol=1e-5
        )


def test_ddim_with_eta_1_is_ddpm_with_the_posteriors_variance():
    _, kept = schedules(respacing="27")
    a, b = (random_run(sampler, TOY, kept) for sampler in (ddpm("posterior"), ddim(1.0)))
    np.testing.assert_allclose(a, b, atol=2e-4)


def test_ddpm_with_the_right_learned_variance_is_exact_in_few_steps():
    """For Gaussian data p(x_{t-1} | x_t) is Gaussian: no discretisation error is left."""
    _, kept = schedules(respacing="8")
    run = functools.partial(random_run, ddpm("posterior"), kept=kept, shape=(128, 128, 3))
    learned = run(optimal(FULL, 0.3, 0.5, learned=kept))
    np.testing.assert_allclose(np.mean(learned), 0.3, atol=0.006)
    np.testing.assert_allclose(np.std(learned), 0.5, atol=0.006)
    fixed = run(optimal(FULL, 0.3, 0.5))
    assert np.std(fixed) < 0.47


@every_method
def test_only_ancestral_samplers_and_eta_use_the_noise(name, eta):
    _, kept = schedules(respacing="10")
    a, b = (
        sample(SAMPLERS[name](eta), TOY, kept, normal((2, *SHAPE)), noise=noise)
        for noise in (normal((10, 2, *SHAPE), 2), normal((10, 2, *SHAPE), 3))
    )
    assert np.array_equal(a, b) == (eta == 0.0 and not name.startswith("ddpm"))
