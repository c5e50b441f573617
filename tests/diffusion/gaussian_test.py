import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import images, normal, schedules

from glide_jax.diffusion import gaussian

I = jnp.array([0, 1, 500, 970])  # noqa: E741
X_0 = images(4)
EPS = normal(X_0.shape)


def log_normal(x, mean, variance):
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance))


@pytest.mark.parametrize("respacing", ["", "27"])
def test_q_posterior_is_bayes_rule(respacing):
    """q(x_{t-1} | x_t, x_0) q(x_t | x_0) = q(x_t | x_{t-1}) q(x_{t-1} | x_0), everywhere."""
    _, schedule = schedules(respacing=respacing)
    x_prev, x_t, x_0 = np.float64(0.3), np.float64(-0.7), np.float64(0.9)
    for i in (1, 10, schedule.num_steps - 2):
        posterior = gaussian.q_posterior(
            schedule, jnp.array(i), jnp.full((1, 1, 1, 1), x_0), jnp.full((1, 1, 1, 1), x_t)
        )
        mean, variance, log_variance = (np.float64(part.item()) for part in posterior)
        a, a_prev, beta = (
            np.float64(v[i]) for v in (schedule.alpha_bar, schedule.alpha_bar_prev, schedule.beta)
        )
        left = log_normal(x_prev, mean, variance) + log_normal(x_t, np.sqrt(a) * x_0, 1 - a)
        right = log_normal(x_t, np.sqrt(1 - beta) * x_prev, beta) + log_normal(
            x_prev, np.sqrt(a_prev) * x_0, 1 - a_prev
        )
        np.testing.assert_allclose(left, right, rtol=2e-3)
        np.testing.assert_allclose(np.exp(log_variance), variance, rtol=1e-5)


def test_q_sample_composes_step_by_step():
    """Mean and variance after all single steps are those of the one jump."""
    _, schedule = schedules(respacing="27")
    mean, variance = 1.0, 0.0
    for i, beta in enumerate(np.asarray(schedule.beta, np.float64)):
        mean, variance = np.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        one = jnp.ones((1, 1, 1, 1))
        at_mean = gaussian.q_sample(schedule, jnp.array(i), one, 0 * one).item()
        at_one = gaussian.q_sample(schedule, jnp.array(i), one, one).item()
        np.testing.assert_allclose(at_mean, mean, atol=1e-5)
        np.testing.assert_allclose(at_one - at_mean, np.sqrt(variance), rtol=1e-4)


def test_eps_x_0_and_v_round_trip():
    schedule, _ = schedules()
    x_t = gaussian.q_sample(schedule, I, X_0, EPS)
    v = gaussian.v_from(schedule, I, X_0, EPS)
    # What a unit in float32's last place becomes where a division by a small number amplifies it.
    close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4)  # noqa: E731
    close(gaussian.x_0_from_eps(schedule, I, x_t, EPS), X_0)
    close(gaussian.eps_from_x_0(schedule, I, x_t, X_0), EPS)
    close(gaussian.x_0_from_v(schedule, I, x_t, v), X_0)
    close(gaussian.eps_from_v(schedule, I, x_t, v), EPS)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("prediction", gaussian.PREDICTIONS)
def test_a_right_output_is_a_right_prediction(prediction, learned):
    schedule, _ = schedules()
    x_t = gaussian.q_sample(schedule, I, X_0, EPS)
    output = gaussian.PREDICTIONS[prediction].target(schedule, I, X_0, EPS)
    if learned:
        output = jnp.concatenate([output, jnp.full_like(output, -0.5)], axis=-1)
    found = gaussian.to_prediction(prediction, output, schedule, I, x_t)
    np.testing.assert_allclose(found.eps, EPS, atol=1e-4)
    if found.variance_fraction is None:
        assert not learned
    else:
        assert learned
        np.testing.assert_allclose(found.variance_fraction, 0.25)


def test_outputs_become_float32_and_odd_channels_are_refused():
    schedule, _ = schedules()
    found = gaussian.to_prediction("v", EPS.astype(jnp.bfloat16), schedule, I, X_0)
    assert found.eps.dtype == jnp.float32
    with pytest.raises(ValueError, match="3 or 6, not 4"):
        gaussian.split_output(jnp.zeros((1, 2, 2, 4)), 3)


def test_denoiser_receives_original_steps():
    schedule, _ = schedules()
    seen = lambda x_t, t: x_t * t.reshape(-1, 1, 1, 1)  # noqa: E731
    found = gaussian.denoiser_from(seen, schedule, "eps")(X_0, I)
    np.testing.assert_allclose(found.eps, X_0 * I.reshape(-1, 1, 1, 1))


def test_learned_variance_goes_from_the_posteriors_to_beta():
    schedule, _ = schedules()
    smallest, largest = schedule.posterior_log_variance_clipped[I], schedule.log_beta[I]
    for fraction, expected in [(0.0, smallest), (1.0, largest), (0.5, (smallest + largest) / 2)]:
        found = gaussian.learned_log_variance(schedule, I, jnp.full(X_0.shape, fraction))
        np.testing.assert_allclose(found[:, 0, 0, 0], expected, rtol=1e-6)


def test_one_index_serves_a_whole_batch():
    schedule, _ = schedules()
    scalar = gaussian.q_sample(schedule, jnp.array(7), X_0, EPS)
    vector = gaussian.q_sample(schedule, jnp.full(4, 7), X_0, EPS)
    np.testing.assert_array_equal(scalar, vector)


def test_an_index_beyond_the_schedule_is_nan_not_another_step():
    _, kept = schedules(respacing="27")
    x_t = gaussian.q_sample(kept, jnp.array([26, 27, 999, 0]), X_0, EPS)
    assert [bool(np.isnan(image).all()) for image in x_t] == [False, True, True, False]
    assert not np.isnan(x_t[0]).any()


def test_gaussian_kl_is_the_integral():
    x = np.linspace(-30, 30, 200_001)
    p, q = (0.3, np.log(0.5)), (-0.2, np.log(2.0))
    log_p, log_q = (log_normal(x, mean, np.exp(log_variance)) for mean, log_variance in (p, q))
    integral = np.trapezoid(np.exp(log_p) * (log_p - log_q), x)
    found = gaussian.gaussian_kl(*(jnp.asarray(value) for value in (*p, *q)))
    np.testing.assert_allclose(found, integral, rtol=1e-5)
    assert gaussian.gaussian_kl(*(jnp.asarray(value) for value in (*p, *p))) == 0


def test_the_256_values_of_a_pixel_share_all_probability():
    values, std = np.arange(256) / 127.5 - 1, np.array([[0.003], [0.1], [1.0]])
    log_p = gaussian.discretized_gaussian_log_likelihood(
        jnp.asarray(np.tile(values, (3, 1)), jnp.float32),
        jnp.full((3, 256), 0.21),
        jnp.asarray(2 * np.log(std) + np.zeros(256), jnp.float32),
    )
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, rtol=1e-5)
    # The first and the last value also own all that lies beyond them.
    most_likely = values[1:-1][np.argmax(log_p[:, 1:-1], axis=1)]
    np.testing.assert_allclose(most_likely, 0.21, atol=2 / 255)


def test_discretized_likelihood_is_the_density_times_a_pixels_width():
    values = jnp.array([-0.4, 0.0, 0.4])
    found = gaussian.discretized_gaussian_log_likelihood(
        values, jnp.zeros(3), jnp.full(3, np.log(0.09))
    )
    expected = log_normal(np.asarray(values), 0.0, 0.09) + np.log(2 / 255)
    np.testing.assert_allclose(found, expected, atol=5e-3)  # the tanh fit's own error
