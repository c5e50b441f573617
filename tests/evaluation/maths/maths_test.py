"""The metrics' maths by its properties: closed forms, equal sets, invariances, blocks."""

import numpy as np
import pytest

from glide_jax.errors import UserError
from glide_jax.evaluation.maths import blocks, kid
from glide_jax.evaluation.maths.frechet import few_images, frechet_distance, square_root
from glide_jax.evaluation.maths.inception_score import inception_score
from glide_jax.evaluation.maths.kid import squared_mmd
from glide_jax.evaluation.maths.moments import Moments
from glide_jax.evaluation.maths.neighbours import density_coverage, precision_recall

RANDOM = np.random.default_rng(0)


def normal(count, width=6, mean=0.0, std=1.0, seed=1):
    random = np.random.default_rng(seed)
    return (mean + std * random.standard_normal((count, width))).astype(np.float32)


def moments(features):
    gathered = Moments(features.shape[1])
    gathered.add(features)
    return gathered.mean, gathered.covariance


def rotation(width, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]


def positive(width, seed=0):
    root = np.random.default_rng(seed).standard_normal((width, width))
    return root @ root.T / width


# Moments


@pytest.mark.parametrize("size", [1, 7, 100])
def test_moments_do_not_depend_on_the_batches(size):
    features = normal(100, mean=1e3, std=0.1)
    gathered = Moments(6)
    for start in range(0, 100, size):
        gathered.add(features[start : start + size])
    gathered.add(features[:0])
    assert gathered.count == 100
    np.testing.assert_allclose(gathered.mean, features.astype(float).mean(0), rtol=1e-13)
    expected = np.cov(features.astype(float), rowvar=False)
    # In float64 without a shift, 1e6 / 1e-2 would cost eight digits.
    np.testing.assert_allclose(gathered.covariance, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("count", "what"), [(0, "mean"), (1, "covariance")])
def test_too_few_images_for_moments(count, what):
    gathered = Moments(6)
    gathered.add(normal(count))
    with pytest.raises(UserError, match=f"a {what} needs"):
        getattr(gathered, what)


# Fréchet distance


def test_frechet_distance_of_commuting_covariances():
    """Σ (√a − √b)² + |μ₁ − μ₂|², in any basis."""
    a, b, turn = np.array([1.0, 4.0, 0.0]), np.array([9.0, 0.25, 2.0]), rotation(3)
    mean_1, mean_2 = np.array([1.0, 0.0, 2.0]), np.array([0.0, 3.0, 2.0])
    found = frechet_distance(mean_1, turn * a @ turn.T, mean_2, turn * b @ turn.T)
    np.testing.assert_allclose(found, 10 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rtol=1e-12)


def test_frechet_distance_is_a_distance():
    """Its root is symmetric, zero for equal Gaussians, and obeys the triangle inequality."""
    sets = [(RANDOM.standard_normal(5), positive(5, seed)) for seed in range(3)]
    root = lambda i, j: np.sqrt(frechet_distance(*sets[i], *sets[j]))  # noqa: E731
    np.testing.assert_allclose(root(0, 1), root(1, 0), rtol=1e-12)
    assert abs(frechet_distance(*sets[0], *sets[0])) < 1e-12
    assert 0 < root(0, 2) < root(0, 1) + root(1, 2)


def test_frechet_distance_of_turned_and_moved_sets_is_the_same():
    (mean_1, one), (mean_2, two) = moments(normal(50)), moments(normal(60, std=2.0, seed=2))
    turn, move = rotation(6), np.arange(6.0)
    moved = (turn @ mean_1 + move, turn @ one @ turn.T, turn @ mean_2 + move, turn @ two @ turn.T)
    expected = frechet_distance(mean_1, one, mean_2, two)
    np.testing.assert_allclose(frechet_distance(*moved), expected, rtol=1e-10)


def test_frechet_distance_of_singular_covariances():
    """Equal sets on a plane are at 0 to rounding: no root of a rounding error is left."""
    plane = normal(200, 3) @ RANDOM.standard_normal((3, 40)).astype(np.float32)
    assert abs(frechet_distance(*moments(plane), *moments(plane))) < 1e-10


def test_frechet_distance_of_what_is_no_gaussian():
    mean, covariance = moments(normal(20))
    for wrong in (
        (mean[:3], covariance[:3, :3]),
        (mean[:3], covariance),
        (mean * np.nan, covariance),
    ):
        with pytest.raises(ValueError, match=r"features|shape|finite"):
            frechet_distance(mean, covariance, *wrong)


def test_the_square_root_is_one():
    matrix = positive(7)
    np.testing.assert_allclose(square_root(matrix) @ square_root(matrix), matrix, atol=1e-12)


def test_few_images_are_said():
    line = few_images(2048, 2048, "fid")
    assert line is not None
    assert "fid of 2,048 images" in line
    assert "kid" in line
    assert few_images(2049, 2048, "fid") is None


# KID


def test_kid_is_unbiased():
    """Sets of one distribution: on average 0, and so negative half the time."""
    each = [squared_mmd(normal(12, seed=2 * i), normal(9, seed=2 * i + 1)) for i in range(400)]
    assert abs(np.mean(each)) < 4 * np.std(each) / np.sqrt(400)
    assert min(each) < 0 < max(each)


def test_squared_mmd_by_definition():
    x, y = normal(7, 3), normal(5, 3, seed=2)

    def mean_kernel(a, b, same):
        pairs = [(p, q) for i, p in enumerate(a) for j, q in enumerate(b) if not (same and i == j)]
        return np.mean([(float(p.astype(float) @ q) / 3 + 1) ** 3 for p, q in pairs])

    expected = mean_kernel(x, x, True) + mean_kernel(y, y, True) - 2 * mean_kernel(x, y, False)
    np.testing.assert_allclose(squared_mmd(x, y), expected, rtol=1e-10)


def test_kid_grows_with_the_distance():
    real = normal(200)
    found = [
        kid.kid(real, normal(150, mean=m, seed=3), subsets=5, size=100, seed=0).mean
        for m in (0.0, 0.5, 1.0)
    ]
    assert found[0] < found[1] < found[2]


def test_kid_depends_on_its_seed_alone():
    real, fake = normal(60), normal(50, seed=2)
    first, again, other = (kid.kid(real, fake, subsets=3, size=20, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_kid_of_small_sets_takes_all_images():
    real, fake = normal(30), normal(20, mean=0.3, seed=2)
    found = kid.kid(real, fake[:20], subsets=1, size=1000, seed=0)
    assert found.std == 0
    subset = np.sort(np.random.default_rng(0).choice(30, 20, replace=False))
    np.testing.assert_allclose(found.mean, squared_mmd(real[subset], fake), rtol=1e-12)


# Inception Score


def test_inception_score_has_bounds():
    """1 where all images are alike, the number of classes where each is sure and all differ."""
    sure = 100 * np.eye(8)
    np.testing.assert_allclose(inception_score(np.tile(sure, (3, 1)), 1).mean, 8, rtol=1e-12)
    np.testing.assert_allclose(inception_score(sure[[3] * 9], 1).mean, 1, rtol=1e-12)
    np.testing.assert_allclose(inception_score(np.zeros((9, 8)), 1).mean, 1, rtol=1e-12)


def test_inception_score_ignores_what_softmax_ignores():
    logits = 3 * normal(40, 7)
    expected = inception_score(logits, 1).mean
    np.testing.assert_allclose(inception_score(logits + 1e3, 1).mean, expected, rtol=1e-4)
    np.testing.assert_allclose(inception_score(logits[::-1], 1).mean, expected, rtol=1e-12)


def test_splits_of_the_inception_score():
    logits = 3 * normal(11, 7)
    parts = [inception_score(part, 1).mean for part in (logits[:3], logits[3:7], logits[7:])]
    found = inception_score(logits, 3)
    np.testing.assert_allclose(found, [np.mean(parts), np.std(parts)], rtol=1e-12)
    with pytest.raises(ValueError, match="12 splits of 11"):
        inception_score(logits, 12)


# Neighbours


def by_definition(real, fake, k):
    """(precision, recall, density, coverage), point by point."""

    def radii(points):
        return [np.sort([((p - q) ** 2).sum() for q in points])[k] for p in points]

    real, fake = real.astype(float), fake.astype(float)
    distances = np.array([[((x - y) ** 2).sum() for y in fake] for x in real])
    of_real, of_fake = np.array(radii(real))[:, None], np.array(radii(fake))[None]
    return (
        (distances <= of_real).any(0).mean(),
        (distances <= of_fake).any(1).mean(),
        (distances < of_real).sum() / k / len(fake),
        (distances < of_real).any(1).mean(),
    )


@pytest.mark.parametrize("rows", [4, 10, 2048])
@pytest.mark.parametrize("k", [1, 3])
def test_neighbours_by_definition_in_blocks_of_any_size(rows, k, monkeypatch):
    monkeypatch.setattr(blocks, "ROWS", rows)
    real, fake = normal(23, 2), normal(17, 2, mean=0.7, seed=2)
    found = (*precision_recall(real, fake, k)[:2], *density_coverage(real, fake, k)[:2])
    np.testing.assert_allclose(found, by_definition(real, fake, k), rtol=1e-12)


def test_equal_sets_have_everything():
    real = normal(40, 512)
    found = precision_recall(real, real.copy(), 3)
    assert found[:2] == (1, 1)
    assert density_coverage(real, real.copy(), 3).coverage == 1


def test_doubles_have_a_radius_of_zero():
    """A set of one image four times is nowhere but there, for ≤; for < not even there."""
    real = np.repeat(normal(1, 33, mean=20), 4, axis=0)
    fake = np.concatenate([real[:1], real[:1] + np.float32(1e-4), normal(3, 33)])
    assert precision_recall(real, fake, 3).precision == 1 / 5
    assert density_coverage(real, fake, 3).density == 0


def test_sets_apart_have_nothing():
    real, fake = normal(40), normal(30, mean=100)
    assert precision_recall(real, fake, 3)[:2] == (0, 0)
    assert density_coverage(real, fake, 3)[:2] == (0, 0)


def test_a_narrow_set_is_precise_and_lacks_recall():
    found = precision_recall(normal(300, 2), normal(300, 2, std=0.2, seed=2), 3)
    assert found.precision > 0.95
    assert found.recall < 0.3
    assert found.precision == found.fake_is_inside.mean()
    assert found.recall == found.real_is_inside.mean()


def test_precision_is_recall_the_other_way_round():
    real, fake = normal(40), normal(30, seed=2)
    there, back = precision_recall(real, fake, 3), precision_recall(fake, real, 3)
    assert there[:2] == back[1::-1]


def test_too_few_neighbours():
    with pytest.raises(ValueError, match="3 images have no neighbour number 3"):
        precision_recall(normal(3), normal(9), 3)
    with pytest.raises(ValueError, match="6 and 5 features"):
        density_coverage(normal(9), normal(9, 5), 3)
