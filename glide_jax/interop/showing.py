"""A progress bar of arrays that are read or written one after the other."""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from glide_jax.progress import Counter


def shown(
    arrays: Iterable[tuple[str, np.ndarray]], shapes: Mapping[str, tuple[int, ...]], title: str
) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays; stderr shows how far they are and how long the rest takes, but not in a log.

    Args:
        arrays: (name, array).
        shapes: of all of them, by name.
        title: of the progress bar.
    """
    total = sum(math.prod(shape) for shape in shapes.values())
    with Counter(sys.stderr, title, total, "weights", log_every_s=None) as counter:
        for name, array in arrays:
            yield name, array
            counter.advance(array.size)
