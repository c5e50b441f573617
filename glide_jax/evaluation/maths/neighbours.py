"""Precision and recall, density and coverage: do the images lie among each other's neighbours?

The two pairs differ in more than the formula. Precision and recall (Kynkäänniemi et al. 2019) count
a distance that equals a radius, as ADM's evaluator; density and coverage (Naeem et al. 2020) don't,
as their authors' code. k is without the point itself.

Distances are squared and in float64: ADM's own are in float16 where they are finite, so that its
published figures carry that rounding.
"""

from typing import NamedTuple

import numpy as np

from glide_jax.evaluation.maths.blocks import blocks


class PrecisionRecall(NamedTuple):
    """Precision and recall, and whom they count.

    Attributes:
        precision: share of fakes within a real image's radius.
        recall: share of reals within a fake image's radius.
        fake_is_inside: bool[m]; precision is its mean.
        real_is_inside: bool[n]; recall is its mean.
    """

    precision: float
    recall: float
    fake_is_inside: np.ndarray
    real_is_inside: np.ndarray


class DensityCoverage(NamedTuple):
    """Density and coverage, and whom they count.

    Attributes:
        density: real spheres that a fake lies in, over k, on average; it may exceed 1.
        coverage: share of reals whose sphere holds a fake.
        spheres: i64[m], the real spheres that each fake lies in; density is its mean over k.
        real_is_covered: bool[n]; coverage is its mean.
    """

    density: float
    coverage: float
    spheres: np.ndarray
    real_is_covered: np.ndarray


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, eq. 1 and 2):

        precision = mean over y of [min_x (|y − x| ≤ r_k(x))],  recall: x and y exchanged

    r_k(x) is the distance of x to its k-th nearest neighbour in its own set.

    Args:
        real: f32[n d], x.
        fake: f32[m d], y.
        k: ADM's is 3.

    Raises:
        ValueError: a set has no k-th neighbour, or features of another number.
    """
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)
    real_is_inside, fake_is_inside = np.zeros(len(real), bool), np.zeros(len(fake), bool)
    for rows, columns, distances in _distances(real, fake):
        fake_is_inside[columns] |= (distances <= real_radii[rows, None]).any(0)
        real_is_inside[rows] |= (distances <= fake_radii[None, columns]).any(1)
    precision, recall = float(fake_is_inside.mean()), float(real_is_inside.mean())
    return PrecisionRecall(precision, recall, fake_is_inside, real_is_inside)


def density_coverage(real: np.ndarray, fake: np.ndarray, k: int) -> DensityCoverage:
    """Density and coverage (Naeem et al. 2020, eq. 4 and 6):

        density = mean over y of Σ_x [|y − x| < r_k(x)] / k
        coverage = mean over x of [min_y |y − x| < r_k(x)]

    Args:
        real: f32[n d], x.
        fake: f32[m d], y.
        k: the paper's is 5.

    Raises:
        ValueError: the reals have no k-th neighbour, or features of another number.
    """
    radii = _radii(real, k)
    spheres, real_is_covered = np.zeros(len(fake), np.int64), np.zeros(len(real), bool)
    for rows, columns, distances in _distances(real, fake):
        inside = distances < radii[rows, None]
        spheres[columns] += inside.sum(0)
        real_is_covered[rows] |= inside.any(1)
    density, coverage = float(spheres.mean() / k), float(real_is_covered.mean())
    return DensityCoverage(density, coverage, spheres, real_is_covered)


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """Squared distance to the k-th nearest neighbour: [n d] → f64[n]."""
    if not 1 <= k < len(x):
        raise ValueError(f"{len(x)} images have no neighbour number {k}")
    nearest = np.full((len(x), k + 1), np.inf)
    for rows, _, distances in _distances(x, x):
        together = np.concatenate([nearest[rows], distances], axis=1)
        nearest[rows] = np.partition(together, k, axis=1)[:, : k + 1]
    return nearest.max(1)  # k + 1 with the zero to itself


def _distances(x: np.ndarray, y: np.ndarray):
    """(rows of x, rows of y, f64 squared distances) of all pairs, block by block."""
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"{x.shape[1]} and {y.shape[1]} features")
    top = 0
    for a in blocks(x):
        left, rows = 0, slice(top, top + len(a))
        for b in blocks(y):
            yield rows, slice(left, left + len(b)), _squared_distances(a, b)
            left += len(b)
        top += len(a)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a|² + |b|² − 2 a·b; exactly 0 where that is no more than rounding: equal images."""
    norms = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None]
    distances = norms - 2 * (a @ b.T)
    distances[distances < 1e-13 * norms] = 0
    return distances
