"""Rows of a large array, some at a time, in float64."""

from collections.abc import Iterator

import numpy as np

ROWS = 2048
"""Of a block: of 2,048 features, 32 MiB; as much is a block of distances."""


def blocks(x: np.ndarray) -> Iterator[np.ndarray]:
    """[n d] → f64[≤ ROWS d], one after the other; only these are read and converted."""
    for start in range(0, len(x), ROWS):
        yield np.asarray(x[start : start + ROWS], np.float64)
