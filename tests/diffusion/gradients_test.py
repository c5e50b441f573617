import jax.numpy as jnp
import numpy as np
from diffusion_toys import images, normal, optimal, perfect, schedules

from glide_jax.diffusion.gaussian import p_posterior, x_0_from_eps
from glide_jax.diffusion.guidance import clip_x_0, gradient_of, shift_mean, shift_score
from glide_jax.diffusion.sample import sample
from glide_jax.diffusion.samplers import ddim, ddpm, fixed_noise

FULL, _ = schedules()
T = jnp.array([3, 400, 900])
X_T = normal((3, 4, 4, 3))


def constant(value):
    return lambda x_t, t: jnp.full_like(x_t, value)


def test_gradient_of_is_each_images_own():
    weights = jnp.array([1.0, 2.0, -3.0])

    def log_probability(x_t, t):
        return -weights * (x_t**2).sum(axis=(1, 2, 3)) * t

    found = gradient_of(log_probability)(X_T, T)
    np.testing.assert_allclose(found, -2 * (weights * T).reshape(-1, 1, 1, 1) * X_T, rtol=1e-5)


def test_shift_mean_says_the_gradient_and_changes_nothing_else():
    plain = optimal(FULL, 0.3, 0.5)
    once, twice = shift_mean(plain, constant(0.5)), shift_mean(plain, constant(0.5))
    twice = shift_mean(twice, constant(2.0))
    np.testing.assert_array_equal(once(X_T, T).eps, plain(X_T, T).eps)
    np.testing.assert_array_equal(once(X_T, T).mean_gradient, np.full(X_T.shape, 0.5))
    np.testing.assert_array_equal(twice(X_T, T).mean_gradient, np.full(X_T.shape, 2.5))


def test_shift_score_keeps_eps_and_x_0_hat_the_same_guess():
    shifted = shift_score(clip_x_0(optimal(FULL, 0.3, 0.5), FULL), FULL, constant(0.5))(X_T, T)
    expected = clip_x_0(optimal(FULL, 0.3, 0.5), FULL)(X_T, T).eps - (
        FULL.sqrt_one_minus_alpha_bar[T].reshape(-1, 1, 1, 1) * 0.5
    )
    np.testing.assert_allclose(shifted.eps, expected, atol=1e-6)
    x_0_hat = x_0_from_eps(FULL, T, X_T, shifted.eps)
    np.testing.assert_allclose(shifted.x_0_hat, x_0_hat, rtol=1e-4, atol=1e-4)


def test_ddpm_adds_variance_times_gradient_to_the_mean():
    _, kept = schedules(respacing="10")
    plain = optimal(FULL, 0.3, 0.5, learned=kept)
    i, noise = jnp.array(4), fixed_noise(jnp.zeros(X_T.shape))
    t = jnp.full(3, kept.timesteps[4])
    p = p_posterior(kept, i, X_T, plain(X_T, t))
    found, _, _ = ddpm("posterior").update(
        shift_mean(plain, constant(0.5)), kept, i, X_T, (), noise
    )
    np.testing.assert_allclose(found, p.mean + 0.5 * p.variance, atol=1e-6)


def test_guidance_leaves_the_thresholds_behind():
    """Outermost: x_0_hat may leave [-1, 1], as it does in the reference."""
    _, kept = schedules(respacing="ddim10")
    clipped = clip_x_0(perfect(FULL, images(2)), FULL)
    noise = normal((10, 2, 4, 4, 3))
    found = sample(
        ddim(0.0), shift_score(clipped, FULL, constant(3.0)), kept, noise[0], noise=noise
    )
    assert np.max(found) > 1


def test_a_true_gradient_samples_from_the_posterior():
    """x_0 ~ N(0, 1), y = x_0 + N(0, std²) is seen: what is sampled is x_0 given y.

    log p(y | x_t): given x_t, y is normal about x_0's best guess.
    """
    _, kept = schedules("linear", "250")
    full, _ = schedules("linear")
    y, std = 0.8, 0.5

    def log_probability(x_t, t):
        a, sigma = (
            field[t].reshape(-1, 1, 1, 1)
            for field in (full.sqrt_alpha_bar, full.sqrt_one_minus_alpha_bar)
        )
        # Standard normal data: x_t is standard normal too, x_0 given it is N(a x_t, sigma²).
        return (-((y - a * x_t) ** 2) / (2 * (sigma**2 + std**2))).sum(axis=(1, 2, 3))

    plain, gradient = optimal(full, 0.0, 1.0), gradient_of(log_probability)
    noise = normal((250, 1, 48, 48, 3))
    x_T = normal((1, 48, 48, 3), seed=7)
    mean, deviation = y / (1 + std**2), np.sqrt(std**2 / (1 + std**2))
    for sampler, denoiser in [
        (ddpm("posterior"), shift_mean(plain, gradient)),
        (ddim(0.0), shift_score(plain, full, gradient)),
    ]:
        x_0 = sample(sampler, denoiser, kept, x_T, noise=noise)
        np.testing.assert_allclose(np.mean(x_0), mean, atol=0.02)
        np.testing.assert_allclose(np.std(x_0), deviation, atol=0.02)
