"""An ImageSet: images of one size, read a batch at a time, whatever they lie in."""

import dataclasses
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from glide_jax.data.source import fingerprint_of

BATCH = 64
"""Images that are read at once."""


class ReadBatches(Protocol):
    """Reads images, so many at a time."""

    def __call__(self, size: int, /, rows: range | None = None) -> Iterator[np.ndarray]:
        """The images as uint8[b h w 3], b = size but for the last.

        Args:
            size: of a batch.
            rows: of the set, one after the other; None: all.

        Raises:
            UserError: one can't be read.
        """
        ...


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images, in an order of their own. Memory is a batch, not the set.

    Attributes:
        name: what people call it.
        height, width: of each image, in pixels.
        count: how many there are, 1 or more; of a data set, with those that can't be read.
        fingerprint: says whether two sets are the same.
        batches: reads them.
        notes: what was done to the images as they were read, a line each.
    """

    name: str
    height: int
    width: int
    count: int
    fingerprint: str
    batches: ReadBatches
    notes: tuple[str, ...] = ()


def image_set_of(images: np.ndarray, name: str) -> ImageSet:
    """A set of images that are in memory.

    Args:
        images: uint8[n h w 3], n 1 or more.
        name: of the set.
    """
    count, height, width, _ = images.shape

    def batches(size: int, rows: range | None = None) -> Iterator[np.ndarray]:
        rows = range(count) if rows is None else rows
        for first in rows[::size]:
            yield images[first : min(first + size, rows.stop)]

    fingerprint = fingerprint_of([str(images.shape), np.ascontiguousarray(images).tobytes()])
    return ImageSet(name, height, width, count, fingerprint, batches)


def numbered(images: ImageSet, rows: range) -> Iterator[tuple[int, np.ndarray]]:
    """(the row of its first image, uint8[b h w 3]) of each batch of some rows."""
    first = rows.start
    for batch in images.batches(BATCH, rows):
        yield first, batch
        first += len(batch)
