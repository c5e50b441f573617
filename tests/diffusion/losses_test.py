import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import images, normal, optimal, perfect, schedules, toy_network

from glide_jax.diffusion.gaussian import PREDICTIONS, denoiser_from, q_sample, x_0_from_eps
from glide_jax.diffusion.losses import (
    WEIGHTINGS,
    bits_per_dim,
    clipped_snr,
    loss_terms,
    min_snr,
    p2,
    prior_bits,
    vlb_bits,
)
from glide_jax.types import Prediction

FULL, _ = schedules()
I = jnp.array([0, 1, 400, 900])  # noqa: E741
X_0 = images(4)
EPS = normal(X_0.shape)


def terms_of(prediction, output, **options):
    options = {"vlb_weight": 1.0, **options}
    return loss_terms(lambda x_t, t: output, FULL, prediction, I, X_0, EPS, **options)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_target_itself_has_no_error(prediction):
    target = PREDICTIONS[prediction].target(FULL, I, X_0, EPS)
    np.testing.assert_array_equal(terms_of(prediction, target)["mse"], 0)
    np.testing.assert_allclose(terms_of(prediction, target + 0.5)["mse"], 0.25, rtol=1e-5)


def test_the_model_is_shown_x_t_and_the_original_t():
    _, kept = schedules(respacing="27")
    i = jnp.array([0, 5, 20, 26])
    seen = []
    loss_terms(
        lambda x_t, t: seen.append((x_t, t)) or x_t, kept, "eps", i, X_0, EPS, vlb_weight=0.0
    )
    [(x_t, t)] = seen
    np.testing.assert_array_equal(t, kept.timesteps[i])
    np.testing.assert_array_equal(x_t, q_sample(kept, i, X_0, EPS))


@pytest.mark.newest
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_bound_teaches_the_variance_alone(prediction):
    output = normal((*X_0.shape[:-1], 6), seed=2)

    def gradient(name):
        return np.asarray(jax.grad(lambda o: terms_of(prediction, o)[name].sum())(output))

    value, spread = np.split(gradient("vlb"), 2, axis=-1)
    np.testing.assert_array_equal(value, 0)
    assert np.all(np.isfinite(spread))
    assert np.all(np.abs(spread).sum(axis=(1, 2, 3)) > 0)
    both = gradient("mse") + np.concatenate([value, spread], axis=-1)
    np.testing.assert_allclose(gradient("hybrid"), both, rtol=1e-5)


def test_hybrid_is_the_weighted_sum():
    output = normal((*X_0.shape[:-1], 6))
    terms = terms_of("v", output, vlb_weight=0.3, weighting=min_snr)
    expected = min_snr("v", FULL.log_snr[I]) * terms["mse"] + 0.3 * terms["vlb"]
    np.testing.assert_allclose(terms["hybrid"], expected, rtol=1e-6)


def test_no_learned_variance_no_bound():
    terms = terms_of("eps", normal(X_0.shape))
    assert set(terms) == {"mse", "hybrid"}
    np.testing.assert_array_equal(terms["mse"], terms["hybrid"])


def test_the_bound_is_scaled_by_the_number_of_steps():
    _, kept = schedules(respacing="50")
    output, i = normal((*X_0.shape[:-1], 6)), jnp.array([0, 1, 20, 40])
    terms = loss_terms(lambda x_t, t: output, kept, "eps", i, X_0, EPS, vlb_weight=1.0)
    prediction = Prediction(output[..., :3], (output[..., 3:] + 1) / 2)
    bits = vlb_bits(kept, i, X_0, q_sample(kept, i, X_0, EPS), prediction)
    np.testing.assert_allclose(terms["vlb"], bits * 50, rtol=1e-5)


def test_weightings_in_closed_form():
    log_snr = jnp.log(jnp.array([0.01, 1.0, 4.0, 100.0]))
    snr = np.exp(log_snr)
    np.testing.assert_allclose(min_snr("x_0", log_snr), np.minimum(snr, 5), rtol=1e-5)
    np.testing.assert_allclose(min_snr("eps", log_snr), np.minimum(snr, 5) / snr, rtol=1e-5)
    np.testing.assert_allclose(min_snr("v", log_snr), np.minimum(snr, 5) / (snr + 1), rtol=1e-5)
    np.testing.assert_allclose(clipped_snr("x_0", log_snr), np.clip(snr, 1, 5), rtol=1e-5)
    np.testing.assert_allclose(p2("eps", log_snr, k=2.0, gamma=0.5), (2 + snr) ** -0.5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in WEIGHTINGS if name != "uniform"])
def test_a_weighted_loss_does_not_depend_on_the_parametrisation(name):
    """The same guess of x_0, said as eps, x_0 or v, costs the same."""
    guess_eps = EPS + 0.1 * normal(EPS.shape, seed=3)
    guess_0 = x_0_from_eps(FULL, I, q_sample(FULL, I, X_0, EPS), guess_eps)
    costs = [
        terms_of(
            prediction,
            PREDICTIONS[prediction].target(FULL, I, guess_0, guess_eps),
            weighting=WEIGHTINGS[name],
        )["hybrid"]
        for prediction in PREDICTIONS
    ]
    np.testing.assert_allclose(costs[1], costs[0], rtol=3e-3)
    np.testing.assert_allclose(costs[2], costs[0], rtol=3e-3)


def test_a_perfect_model_pays_for_the_pixels_alone():
    _, kept = schedules(respacing="20")
    bits = bits_per_dim(perfect(FULL, X_0), kept, X_0, keys=jax.random.split(jax.random.key(0), 4))
    np.testing.assert_allclose(bits["vlb"][:, 1:], 0, atol=1e-6)
    np.testing.assert_allclose(bits["total"], bits["vlb"].sum(axis=1) + bits["prior"], rtol=1e-6)
    assert np.all(bits["prior"] < 1e-5)
    np.testing.assert_allclose(bits["x_0_mse"][:, :-1], 0, atol=1e-6)


@pytest.mark.newest
def test_the_best_denoiser_of_gaussian_data_meets_its_bound():
    """With p's right variance nothing is lost: the bound is -log2 p(x_0), in few steps."""
    mean, std = 0.1, 0.15
    x_0 = mean + std * np.asarray(normal((8, 16, 16, 3)))
    x_0 = (np.clip(x_0, -1, 1) * 127.5 + 127.5).round() / 127.5 - 1
    log_p = -0.5 * ((x_0 - mean) / std) ** 2 - np.log(np.sqrt(2 * np.pi) * std * 127.5)
    exact = -log_p.mean() / np.log(2)
    _, kept = schedules(respacing="10")
    noise = normal((10, *x_0.shape), seed=2)

    def bound(denoiser):
        return np.mean(bits_per_dim(denoiser, kept, jnp.asarray(x_0), noise=noise)["total"])

    assert bound(optimal(FULL, mean, std, learned=kept)) == pytest.approx(exact, abs=0.03)
    assert bound(optimal(FULL, mean, std)) > exact + 0.1


def test_prior_bits_is_the_kl_of_the_last_step():
    schedule, _ = schedules(num_steps=50, name="linear")
    variance = 1 - np.float64(schedule.alpha_bar[-1])
    mean = np.sqrt(1 - variance) * np.asarray(X_0, np.float64)
    nats = 0.5 * (mean**2 + variance - 1 - np.log(variance))
    expected = nats.mean(axis=(1, 2, 3)) / np.log(2)
    np.testing.assert_allclose(prior_bits(schedule, X_0), expected, rtol=1e-3)


def test_bits_of_a_image_do_not_depend_on_its_batch():
    _, kept = schedules(respacing="10")
    noise = normal((10, *X_0.shape))
    run = functools.partial(bits_per_dim, denoiser_from(toy_network, FULL, "eps"), kept)
    four, one = run(X_0, noise=noise), run(X_0[2:3], noise=noise[:, 2:3])
    np.testing.assert_allclose(four["vlb"][2:3], one["vlb"], rtol=1e-5)
    with pytest.raises(ValueError, match="either keys or noise"):
        run(X_0)
