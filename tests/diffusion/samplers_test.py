"""What every sampler must do, then what each of them alone must."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import normal, optimal, perfect, pictures, schedules, toy_network

from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.guidance import classifier_free, clip_x_0, keep_known
from glide_jax.diffusion.sample import sample
from glide_jax.diffusion.samplers import SAMPLERS, ddim, ddpm

SHAPE = (4, 4, 3)
FULL, _ = schedules()
TOY = clip_x_0(denoiser_from(toy_network, FULL, "eps"), FULL)


def random_run(sampler, denoiser, kept, batch=2, shape=SHAPE):
    """A run from numpy's noise: compiles faster than one that draws its own."""
    noise = normal((kept.num_steps, batch, *shape), seed=2)
    return sample(sampler, denoiser, kept, normal((batch, *shape)), noise=noise)


every_sampler = pytest.mark.parametrize("name", SAMPLERS)
every_eta = pytest.mark.parametrize("eta", [0.0, 1.0])


@every_sampler
@every_eta
@pytest.mark.parametrize(
    ("betas", "respacing"), [("linear", "fast27"), ("squared_cosine", "10"), ("linear", "1")]
)
def test_a_perfect_denoiser_gives_back_the_picture(name, eta, betas, respacing):
    full, kept = schedules(betas, respacing)
    x_0 = pictures(2)
    found = random_run(SAMPLERS[name](eta), perfect(full, x_0), kept)
    np.testing.assert_allclose(found, x_0, atol=1e-4)


@every_sampler
@every_eta
def test_gaussian_data_gets_its_mean_and_deviation(name, eta):
    _, kept = schedules(respacing="250")
    x_0 = random_run(SAMPLERS[name](eta), optimal(FULL, 0.3, 0.5), kept, shape=(32, 64, 3))
    # 12,288 pixels: the mean to 0.005, the deviation to 0.003; the rest is the 250 steps' error.
    np.testing.assert_allclose(np.mean(x_0), 0.3, atol=0.015)
    np.testing.assert_allclose(np.std(x_0), 0.5, atol=0.02)


@every_sampler
def test_a_picture_does_not_depend_on_its_batch(name):
    _, kept = schedules(respacing="10")
    x_T, noise = normal((4, *SHAPE)), normal((10, 4, *SHAPE), seed=2)
    four = sample(SAMPLERS[name](1.0), TOY, kept, x_T, noise=noise)
    one = sample(SAMPLERS[name](1.0), TOY, kept, x_T[2:3], noise=noise[:, 2:3])
    np.testing.assert_allclose(four[2], one[0], atol=1e-5)
    assert np.abs(four[1] - four[2]).max() > 0.1


@every_sampler
@every_eta
def test_known_pixels_come_out_as_they_are(name, eta):
    _, kept = schedules(respacing="10")
    image, mask = pictures(2), jnp.zeros((2, 4, 4, 1)).at[:, 1:3].set(1.0)
    denoiser = clip_x_0(keep_known(TOY, FULL, image, mask), FULL)
    found = random_run(SAMPLERS[name](eta), denoiser, kept)
    np.testing.assert_allclose(found[:, 1:3], image[:, 1:3], atol=1e-5)
    assert np.abs(found - image)[:, ::3].max() > 0.1


@every_sampler
def test_nothing_compiles_again_but_for_another_number_of_steps(name):
    traces = []

    @jax.jit
    def run(eta, scale, schedule, full, x_T, noise):
        traces.append(None)
        model = denoiser_from(toy_network, full, "eps")
        denoiser = clip_x_0(classifier_free(model, scale), full)
        return sample(SAMPLERS[name](eta), denoiser, schedule, x_T, noise=noise)

    def run_with(eta, scale, respacing, betas):
        full, kept = schedules(betas, respacing)
        noise = normal((kept.num_steps, 2, *SHAPE))
        return run(jnp.float32(eta), jnp.float32(scale), kept, full, noise[0], noise)

    run_with(0.0, 1.0, "10,10,3,2,2", "linear")
    run_with(0.5, 3.0, "27", "linear")
    run_with(1.0, 5.0, "fast27", "squared_cosine")
    assert len(traces) == 1
    run_with(0.0, 1.0, "10", "linear")
    assert len(traces) == 2


def test_ddim_with_eta_1_is_ddpm_with_the_posteriors_variance():
    _, kept = schedules(respacing="27")
    fixed = lambda x_t, t: TOY(x_t, t)._replace(variance_fraction=None)  # noqa: E731
    a, b = (random_run(sampler, fixed, kept) for sampler in (ddpm(), ddim(1.0)))
    np.testing.assert_allclose(a, b, atol=2e-4)


def test_ddpm_with_the_right_learned_variance_is_exact_in_few_steps():
    """For Gaussian data p(x_{t-1} | x_t) is Gaussian: no discretisation error is left."""
    _, kept = schedules(respacing="8")
    run = functools.partial(random_run, ddpm(), kept=kept, shape=(128, 128, 3))
    learned = run(optimal(FULL, 0.3, 0.5, learned=kept))
    np.testing.assert_allclose(np.mean(learned), 0.3, atol=0.006)
    np.testing.assert_allclose(np.std(learned), 0.5, atol=0.006)
    fixed = run(optimal(FULL, 0.3, 0.5))
    assert np.std(fixed) < 0.47


def test_ddim_without_noise_is_a_solver_of_first_order():
    """Twice the steps, half the distance to the ODE's solution, known for Gaussian data."""
    mean, std, x_T = 0.3, 0.5, np.asarray(normal((2, *SHAPE)))
    alpha_bar = np.float64(FULL.alpha_bar[-1])
    variance = alpha_bar * std**2 + 1 - alpha_bar  # of x_T
    exact = mean + std * (x_T - np.sqrt(alpha_bar) * mean) / np.sqrt(variance)

    def error(num_steps):
        _, kept = schedules(respacing=str(num_steps))
        return np.abs(random_run(ddim(0.0), optimal(FULL, mean, std), kept) - exact).max()

    assert error(40) / error(80) == pytest.approx(2, abs=0.4)
    assert error(80) / error(160) == pytest.approx(2, abs=0.4)


@pytest.mark.parametrize(
    ("sampler", "same"), [(ddim(0.0), True), (ddim(0.5), False), (ddpm(), False)]
)
def test_only_ddim_without_eta_ignores_the_noise(sampler, same):
    _, kept = schedules(respacing="10")
    a, b = (
        sample(sampler, TOY, kept, normal((2, *SHAPE)), noise=normal((10, 2, *SHAPE), seed))
        for seed in (2, 3)
    )
    assert np.array_equal(a, b) == same
