import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import images, normal, perfect, schedules

from glide_jax.diffusion.gaussian import x_0_from_eps
from glide_jax.diffusion.guidance import (
    classifier_free,
    clip_x_0,
    dynamic_threshold,
    guidance_interval,
    keep_known,
    shift_mean,
)
from glide_jax.types import Prediction

FULL, _ = schedules()
T = jnp.array([3, 400, 900])
X_T = normal((3, 4, 4, 3))
CAPTIONS = jnp.array([0.2, 0.5, -0.4])  # the condition, a number an image; null is 0


def conditional(condition):
    """A model whose answer depends on image, step and condition."""

    def denoiser(x_t, t):
        shift = (condition + t / 1000).reshape(-1, 1, 1, 1)
        return Prediction(jnp.tanh(x_t + shift), jax.nn.sigmoid(x_t - shift))

    return denoiser


STACKED = conditional(jnp.concatenate([CAPTIONS, 0 * CAPTIONS]))


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0, [1.0, 2.0, 5.0]])
def test_fused_guidance_equals_two_calls(scale):
    scale = jnp.asarray(scale)
    found = classifier_free(STACKED, scale)(X_T, T)
    cond, uncond = conditional(CAPTIONS)(X_T, T), conditional(0 * CAPTIONS)(X_T, T)
    s = scale.reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(found.eps, uncond.eps + s * (cond.eps - uncond.eps), atol=1e-6)
    np.testing.assert_array_equal(found.variance_fraction, cond.variance_fraction)


def test_scale_1_is_the_conditional_and_0_the_null():
    for scale, condition in [(1.0, CAPTIONS), (0.0, 0 * CAPTIONS)]:
        found = classifier_free(STACKED, scale)(X_T, T)
        np.testing.assert_allclose(found.eps, conditional(condition)(X_T, T).eps, atol=1e-6)


def test_guidance_calls_the_model_once_and_needs_no_variance():
    calls = []

    def model(x_t, t):
        calls.append((x_t.shape, t.shape))
        return Prediction(x_t)

    found = classifier_free(model, 3.0)(X_T, T)
    assert calls == [((6, 4, 4, 3), (6,))]
    assert found.variance_fraction is None


def guided_between(low, high, calls):
    """Guidance with scale 3 in the interval; calls gets the batch of every call computed."""

    def model(condition):
        def denoiser(x_t, t):
            batch = x_t.shape[0]
            jax.debug.callback(lambda t: calls.append(batch), t[0])
            return conditional(condition)(x_t, t)

        return denoiser

    both = jnp.concatenate([CAPTIONS, 0 * CAPTIONS])
    guided = classifier_free(model(both), 3.0)
    return guidance_interval(guided, model(CAPTIONS), jnp.array([low, high]), 1000)


@pytest.mark.parametrize(
    ("t", "low", "high", "inside"),
    [
        (400, 0.0, 1.0, True),
        (400, 0.3, 0.5, True),
        (400, 0.4, 0.5, True),
        (400, 0.3, 0.4, False),
        (0, 0.0, 1.0, True),
        (999, 0.0, 1.0, True),
        (999, 0.2, 0.8, False),
        (0, 0.2, 0.8, False),
    ],
)
def test_outside_the_interval_the_conditional_alone_is_computed(t, low, high, inside):
    calls = []
    t = jnp.full(3, t)
    found = jax.jit(guided_between(low, high, calls))(X_T, t)
    jax.effects_barrier()
    assert calls == [6 if inside else 3]
    plain = conditional(CAPTIONS)(X_T, t)
    expected = classifier_free(STACKED, 3.0)(X_T, t) if inside else plain
    np.testing.assert_allclose(found.eps, expected.eps, atol=1e-6)
    np.testing.assert_allclose(found.variance_fraction, plain.variance_fraction, atol=1e-6)


def test_a_gradient_inside_of_guidance_is_not_lost_unsaid():
    inside = shift_mean(STACKED, lambda x_t, t: x_t)
    with pytest.raises(ValueError, match="put shift_mean around it"):
        classifier_free(inside, 3.0)(X_T, T)


def hat(denoiser, t=T, x_t=X_T):
    return x_0_from_eps(FULL, t, x_t, denoiser(x_t, t).eps)


def said(x_0_hat):
    """A denoiser with this x_0_hat."""
    return perfect(FULL, x_0_hat)


def test_clip_holds_x_0_hat_in_its_limit():
    clipped = hat(clip_x_0(said(3 * normal(X_T.shape, 5)), FULL))
    np.testing.assert_allclose(clipped, np.clip(3 * normal(X_T.shape, 5), -1, 1), atol=1e-4)
    wide = hat(clip_x_0(said(3 * normal(X_T.shape, 5)), FULL, limit=2.0))
    assert 1.9 < np.abs(wide).max() < 2.001


def test_dynamic_threshold_divides_by_each_images_quantile():
    x_0_hat = jnp.array([0.1, 1.0, 4.0]).reshape(3, 1, 1, 1) * normal(X_T.shape, 5)
    found = hat(dynamic_threshold(said(x_0_hat), FULL, 0.9))
    for image, before in zip(found, np.asarray(x_0_hat), strict=True):
        s = max(1.0, np.quantile(np.abs(before), 0.9))
        np.testing.assert_allclose(image, np.clip(before, -s, s) / s, atol=2e-4)


def test_a_cap_bounds_what_is_divided_by():
    x_0_hat = 4 * normal(X_T.shape, 5)
    capped = hat(dynamic_threshold(said(x_0_hat), FULL, 0.9, 1.5))
    np.testing.assert_allclose(capped, np.clip(x_0_hat, -1.5, 1.5) / 1.5, atol=2e-4)
    clipped = hat(dynamic_threshold(said(x_0_hat), FULL, 0.9, 1.0))
    np.testing.assert_allclose(clipped, np.clip(x_0_hat, -1, 1), atol=2e-4)


def test_another_quantile_or_limit_compiles_nothing():
    x_0_hat = 3 * normal(X_T.shape, 5)

    @jax.jit
    def both(quantile, limit):
        inner = clip_x_0(said(x_0_hat), FULL, limit)
        return hat(inner), hat(dynamic_threshold(inner, FULL, quantile))

    for quantile, limit in [(0.5, 4.0), (0.99, 2.0)]:
        clipped, divided = both(jnp.float32(quantile), jnp.float32(limit))
        np.testing.assert_allclose(clipped, np.clip(x_0_hat, -limit, limit), atol=2e-4)
        s = np.maximum(np.quantile(np.abs(clipped), quantile, axis=(1, 2, 3), keepdims=True), 1)
        np.testing.assert_allclose(divided, np.clip(clipped, -s, s) / s, atol=5e-4)
    assert both._cache_size() == 1


def test_thresholds_leave_a_image_within_range_alone_bit_for_bit():
    denoiser = said(0.9 * images(3))
    for transform in (clip_x_0(denoiser, FULL), dynamic_threshold(denoiser, FULL, 0.99)):
        np.testing.assert_array_equal(transform(X_T, T).eps, denoiser(X_T, T).eps)


def test_known_pixels_are_the_image_and_the_others_the_models():
    image, mask = images(3), jnp.zeros((3, 4, 4, 1)).at[:, :2].set(1.0)
    denoiser = said(3 * normal(X_T.shape, 5))
    found = hat(keep_known(denoiser, FULL, image, mask))
    np.testing.assert_allclose(found[:, :2], image[:, :2], atol=1e-4)
    np.testing.assert_array_equal(found[:, 2:], hat(denoiser)[:, 2:])


def test_transforms_keep_the_variance():
    denoiser = conditional(CAPTIONS)
    fraction = denoiser(X_T, T).variance_fraction
    mask = jnp.ones((3, 4, 4, 1))
    for transform in (
        clip_x_0(denoiser, FULL),
        dynamic_threshold(denoiser, FULL, 0.9),
        keep_known(denoiser, FULL, X_T, mask),
    ):
        np.testing.assert_array_equal(transform(X_T, T).variance_fraction, fraction)


def test_clipping_holds_where_alpha_bar_is_tiny():
    """At the noisiest steps x_0_hat is as right as float32's eps can say it."""
    t = jnp.array([990, 998, 999])
    clipped = hat(clip_x_0(conditional(CAPTIONS), FULL), t=t)
    expected = np.clip(hat(conditional(CAPTIONS), t=t), -1, 1)
    one_place = np.finfo(np.float32).eps * np.abs(X_T).max(axis=(1, 2, 3))
    allowed = 2 * one_place / FULL.sqrt_alpha_bar[t]
    assert np.all(np.abs(clipped - expected).max(axis=(1, 2, 3)) < allowed)
