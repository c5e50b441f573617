"""Bootstrap intervals: how a figure would scatter if as many other images were sampled.

An interval is of the figure at this number of images, and says nothing of its bias. A set sampled
with replacement has doubles, which alone shift some figures: what is taken from the resamples is
their scatter about their own mean, and the interval is about the figure itself:

    value + q − mean of the resamples,   q: their quantiles 2.5 % and 97.5 %
"""

from collections.abc import Callable, Sequence

import numpy as np

from glide_jax.evaluation.maths.blocks import blocks
from glide_jax.evaluation.maths.frechet import EPSILON, square_root
from glide_jax.evaluation.maths.intervals import LEVEL, Interval
from glide_jax.evaluation.maths.moments import Moments


def interval(
    statistic: Callable[[np.ndarray], float], n: int, *, resamples: int, seed: int
) -> Interval:
    """The 95 % bootstrap interval of a figure of n images (Efron 1979), about its value.

    Args:
        statistic: i64[n], indices of images, of which some are there twice → the figure.
        n: images.
        resamples: how often n of them are chosen with replacement; a thousand for a mean.
        seed: of the choices.
    """
    random = np.random.default_rng(seed)
    value = statistic(np.arange(n))
    each = [statistic(np.sort(random.integers(n, size=n))) for _ in range(resamples)]
    return _about(value, each)


def mean_interval(values: np.ndarray, *, resamples: int, seed: int) -> Interval:
    """As `interval`, of the mean of a value an image, such as precision's: [n] → its interval."""
    values = np.asarray(values, np.float64)
    return interval(lambda i: float(values[i].mean()), len(values), resamples=resamples, seed=seed)


def frechet_interval(
    mean: np.ndarray, covariance: np.ndarray, features: np.ndarray, *, resamples: int, seed: int
) -> Interval:
    """The 95 % bootstrap interval of a Fréchet distance to a reference that is held as it is.

    The generated images are resampled, the reference is not. What a resample changes is computed to
    first order, as the mean of what each of its images contributes, see `influences`: that takes
    seconds in place of a matrix root a resample; and a set with doubles has a smaller rank, so
    that resampled distances of fewer images than features scatter several times too much.

    Args:
        mean, covariance: f64[d] and f64[d d], of the reference.
        features: f32[n d], of the generated images; may be memory-mapped.
        resamples: a thousand.
        seed: of the choices.

    Raises:
        UserError: fewer than 2 images.
    """
    value, each = influences(mean, covariance, features)
    about = mean_interval(each, resamples=resamples, seed=seed)
    return Interval(value, value + about.low - about.value, value + about.high - about.value)


def influences(
    mean: np.ndarray, covariance: np.ndarray, features: np.ndarray
) -> tuple[float, np.ndarray]:
    """A Fréchet distance, and how it changes with the weight of each image (Hampel 1974):

        ∂d² / ∂w = 2 (μ₂ − μ₁) · b + (|b|² − bᵀ R b) n / (n − 1) − tr Σ₂ + tr (S Σ₂ S)^½

    with b = y − μ₂, S = Σ₁^½, and R = S (S Σ₂ S)^−½ S, which maps the one Gaussian to the other.

    Args:
        mean, covariance, features: as for `frechet_interval`.

    Returns:
        (d², f64[n] whose mean is 0): if the share 1/n of image i becomes 1/n + w, and the others'
        shrink by 1 − w, d² grows by w times figure i, to first order.
    """
    moments = Moments(features.shape[1])
    for rows in blocks(features):
        moments.add(rows)
    count, difference, own = moments.count, moments.mean - mean, moments.covariance
    root = square_root(covariance)
    values, vectors = np.linalg.eigh(root @ own @ root)
    kept = values > len(values) * EPSILON * abs(values).max()
    roots = np.sqrt(values[kept])
    through = root @ vectors[:, kept] / np.sqrt(roots)[None]  # R = through · throughᵀ
    overlap, trace = float(roots.sum()), float(np.trace(own))
    each = []
    for rows in blocks(features):
        b = rows - moments.mean[None]
        spread = np.square(b).sum(1) - np.square(b @ through).sum(1)
        each.append(2 * b @ difference + spread * count / (count - 1) - trace + overlap)
    distance = difference @ difference + np.trace(covariance) + trace - 2 * overlap
    return float(distance), np.concatenate(each)


def _about(value: float, resampled: Sequence[float]) -> Interval:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail]) - np.mean(resampled)
    return Interval(value, float(value + low), float(value + high))
