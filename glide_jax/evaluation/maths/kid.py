"""The kernel inception distance (Bińkowski et al. 2018): unbiased, however few the images."""

from typing import NamedTuple

import numpy as np

from glide_jax.evaluation.maths.blocks import blocks


class KID(NamedTuple):
    """A kernel inception distance.

    Attributes:
        mean: over the subsets.
        std: of one subset, with the divisor n; over √subsets it is about the mean's standard error.
    """

    mean: float
    std: float


def kid(real: np.ndarray, fake: np.ndarray, *, subsets: int, size: int, seed: int) -> KID:
    """The mean squared MMD of random subsets, as published (100 subsets of 1,000 images).

    Args:
        real, fake: f32[n d] and f32[m d].
        subsets: their number.
        size: images of each in a subset; n or m, if one of them is smaller.
        seed: of the choice of the subsets, without replacement.

    Raises:
        ValueError: fewer than 2 images, or features of another number.
    """
    size = min(size, len(real), len(fake))
    random = np.random.default_rng(seed)
    each = []
    for _ in range(subsets):
        chosen = [random.choice(len(x), size, replace=False) for x in (real, fake)]
        each.append(squared_mmd(real[np.sort(chosen[0])], fake[np.sort(chosen[1])]))
    return KID(float(np.mean(each)), float(np.std(each)))


def squared_mmd(real: np.ndarray, fake: np.ndarray) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, eq. 3):

        Σ_{i≠j} k(xᵢ, xⱼ) / (n (n − 1)) + Σ_{i≠j} k(yᵢ, yⱼ) / (m (m − 1)) − 2 Σ k(xᵢ, yⱼ) / (n m)

    with the kernel k(x, y) = (x · y / d + 1)³. It may be negative.

    Args:
        real: f32[n d], x.
        fake: f32[m d], y.

    Raises:
        ValueError: fewer than 2 images, or features of another number.
    """
    n, m = len(real), len(fake)
    if min(n, m) < 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(f"features of shapes {real.shape} and {fake.shape}")
    within_real = (_kernel_sum(real, real) - _kernel_diagonal(real)) / (n * (n - 1))
    within_fake = (_kernel_sum(fake, fake) - _kernel_diagonal(fake)) / (m * (m - 1))
    return float(within_real + within_fake - 2 * _kernel_sum(real, fake) / (n * m))


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    return sum(_kernel(a @ b.T, x.shape[1]).sum() for a in blocks(x) for b in blocks(y))


def _kernel_diagonal(x: np.ndarray) -> float:
    return sum(_kernel(np.square(a).sum(1), x.shape[1]).sum() for a in blocks(x))


def _kernel(products: np.ndarray, width: int) -> np.ndarray:
    return (products / width + 1) ** 3
