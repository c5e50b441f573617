"""A progress bar of arrays that are read or written one after the other."""

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from tqdm import tqdm


def shown(
    arrays: Iterable[tuple[str, np.ndarray]], shapes: Mapping[str, tuple[int, ...]], title: str
) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays; on a terminal, stderr shows how far they are and how long the rest takes.

    Args:
        arrays: (name, array).
        shapes: of all of them, by name.
        title: of the progress bar.
    """
    total = sum(math.prod(shape) for shape in shapes.values())
    with tqdm(
        total=total, desc=title, unit=" weights", unit_scale=True, leave=False, disable=None
    ) as bar:
        for name, array in arrays:
            yield name, array
            bar.update(array.size)
