"""Bootstrap intervals: their width is the scatter of the figure over other sets of images."""

import numpy as np
import pytest

from glide_jax.evaluation.maths import blocks
from glide_jax.evaluation.maths.bootstrap import (
    frechet_interval,
    influences,
    interval,
    mean_interval,
)
from glide_jax.evaluation.maths.frechet import frechet_distance
from glide_jax.evaluation.maths.moments import Moments


def normal(count, width, std=1.0, seed=1):
    return (std * np.random.default_rng(seed).standard_normal((count, width))).astype(np.float32)


def moments(features):
    gathered = Moments(features.shape[1])
    gathered.add(features)
    return gathered.mean, gathered.covariance


def width_of(found):
    return found.high - found.low


def test_the_interval_of_a_mean_is_the_textbook_s():
    values = np.random.default_rng(0).standard_normal(400)
    found = mean_interval(values, resamples=2000, seed=0)
    np.testing.assert_allclose(found.value, values.mean(), rtol=1e-12)
    half = 1.96 * values.std() / 20
    expected = [values.mean() - half, values.mean() + half]
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.1 * half)


def test_it_holds_the_truth_19_times_of_20():
    random = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        found = mean_interval(random.standard_normal(50) + 3, resamples=200, seed=seed)
        held += found.low < 3 < found.high
    assert 175 <= held <= 199


def test_an_interval_is_the_seed_s():
    values = np.arange(30.0)
    first, again, other = (mean_interval(values, resamples=50, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_biased_figure_is_inside_its_interval():
    """The number of different images is lower in every resample; the scatter says how much."""
    found = interval(lambda i: len(set(i)), 100, resamples=300, seed=0)
    assert found.value == 100
    assert found.low < 100 < found.high


def reweighted(features, i, change):
    """(mean, covariance) with image i's share raised by `change`, the others' lowered alike."""
    n = len(features)
    shares = np.full(n, (1 - change) / n)
    shares[i] += change
    mean = shares @ features
    centred = features - mean
    return mean, n / (n - 1) * (centred * shares[:, None]).T @ centred


@pytest.mark.parametrize("count", [9, 70])
def test_influences_are_the_distance_s_derivatives(count, monkeypatch):
    """With fewer images than features, and with more."""
    monkeypatch.setattr(blocks, "ROWS", 32)
    reference = moments(normal(500, 20, std=1.5))
    features = normal(count, 20, seed=2).astype(np.float64)
    distance, each = influences(*reference, features)
    np.testing.assert_allclose(distance, frechet_distance(*reference, *moments(features)))
    assert abs(each.mean()) < 1e-10
    for i in (0, 4, count - 1):
        up, down = (
            frechet_distance(*reference, *reweighted(features, i, change))
            for change in (1e-4, -1e-4)
        )
        np.testing.assert_allclose(each[i], (up - down) / 2e-4, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("count", [12, 300])
def test_the_interval_of_a_distance_is_as_wide_as_its_scatter(count):
    """Over 200 other sets of as many images, fewer than features and more."""
    reference = moments(normal(2000, 16, std=1.3, seed=99))
    features = [normal(count, 16, seed=seed) for seed in range(200)]
    each = [frechet_distance(*reference, *moments(x)) for x in features]
    found = [frechet_interval(*reference, x, resamples=300, seed=0) for x in features[:12]]
    for one, distance in zip(found, each, strict=False):
        np.testing.assert_allclose(one.value, distance, rtol=1e-8)
        assert one.low < one.value < one.high
    scatter = np.subtract(*np.quantile(each, [0.975, 0.025]))
    np.testing.assert_allclose(np.mean([width_of(one) for one in found]), scatter, rtol=0.25)
