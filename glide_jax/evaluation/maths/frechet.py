"""The Fréchet distance of two Gaussians: FID, and sFID (Heusel et al. 2017; Nash et al. 2021)."""

import numpy as np

EPSILON = float(np.finfo(np.float64).eps)


def frechet_distance(
    mean_1: np.ndarray, covariance_1: np.ndarray, mean_2: np.ndarray, covariance_2: np.ndarray
) -> float:
    """The squared 2-Wasserstein distance of two Gaussians (Heusel et al. 2017, eq. 6):

        d² = |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁ Σ₂)^½

    The last trace is the sum of the singular values of Σ₁^½ Σ₂^½. That way, unlike by a square
    root of the product, singular covariances need no offset, and nothing imaginary is left.

    Args:
        mean_1, mean_2: f64[d].
        covariance_1, covariance_2: f64[d d], symmetric and positive semi-definite.

    Returns:
        d², without its root, as every published FID. Of n images it is too large by about c / n
        (Chong & Forsyth 2020): compare only figures of equal n, see `few_images`.

    Raises:
        ValueError: the shapes differ, or a figure is not finite.
    """
    mean_1, covariance_1 = _checked(mean_1, covariance_1)
    mean_2, covariance_2 = _checked(mean_2, covariance_2)
    if mean_1.shape != mean_2.shape:
        raise ValueError(f"means of {len(mean_1)} and {len(mean_2)} features")
    product = square_root(covariance_1) @ square_root(covariance_2)
    overlap = np.linalg.svd(product, compute_uv=False).sum()
    difference = mean_1 - mean_2
    traces = np.trace(covariance_1) + np.trace(covariance_2)
    return float(difference @ difference + traces - 2 * overlap)


def square_root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric root of a positive semi-definite matrix: f64[d d] → f64[d d].

    Eigenvalues that are rounding errors of zero are taken as zero, or their roots, √1e-16, would
    add up to more than the distance.
    """
    values, vectors = np.linalg.eigh(covariance)
    values = np.where(values > len(values) * EPSILON * abs(values).max(), values, 0)
    return (vectors * np.sqrt(values)[None]) @ vectors.T


def few_images(count: int, width: int, metric: str) -> str | None:
    """The line to show where a Fréchet distance is of fewer images than features; else None.

    Args:
        count: images of the smaller set.
        width: d, features.
        metric: its name, for people.
    """
    if count > width:
        return None
    return (
        f"{metric} of {count:,} images is far too large, as they are fewer than the {width:,} "
        "features and their covariance is singular: compare it only with figures of as many "
        "images, or take kid, which has no such bias"
    )


def _checked(mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(f"a mean of shape {mean.shape}, a covariance of {covariance.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError("a mean or covariance is not finite")
    return mean, (covariance + covariance.T) / 2
