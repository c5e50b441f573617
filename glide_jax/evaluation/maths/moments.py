"""Mean and covariance of features that come in batches, in float64."""

import numpy as np

from glide_jax.errors import UserError


class Moments:
    """Mean and covariance of all vectors added so far, without keeping them.

    Sums are taken of x − c, with c the first batch's mean, so that no digits are lost where a mean
    is large beside its deviation (Chan, Golub & LeVeque 1983):

        mean = c + Σ (x − c) / n,    Σ = [Σ (x − c)(x − c)ᵀ − n (mean − c)(mean − c)ᵀ] / (n − 1)

    Args:
        width: d, the length of a vector.
    """

    def __init__(self, width: int):
        self.count, self.width = 0, width
        self._shift = np.zeros(width)
        self._sum = np.zeros(width)
        self._products = np.zeros((width, width))

    def add(self, features: np.ndarray) -> None:
        """Add a batch: [b d], of any b and any float dtype."""
        rows = np.asarray(features, np.float64)
        if not len(rows):
            return
        if not self.count:
            self._shift = rows.mean(0)
        rows = rows - self._shift[None]
        self.count += len(rows)
        self._sum += rows.sum(0)
        self._products += rows.T @ rows

    @property
    def mean(self) -> np.ndarray:
        """f64[d]. Raises UserError before the first vector."""
        self._require(1)
        return self._shift + self._sum / self.count

    @property
    def covariance(self) -> np.ndarray:
        """f64[d d], divided by n − 1, as ADM's and pytorch-fid's. Raises UserError for n < 2."""
        self._require(2)
        products = self._products - np.outer(self._sum, self._sum) / self.count
        return products / (self.count - 1)

    def _require(self, least: int) -> None:
        if self.count < least:
            what = "a mean" if least == 1 else "a covariance"
            raise UserError(f"{what} needs {least} images or more, and there are {self.count}")
