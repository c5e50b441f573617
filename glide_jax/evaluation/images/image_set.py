"""An ImageSet: images of one size, read a batch at a time, whatever they lie in."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from glide_jax.data.source import fingerprint_of

BATCH = 64
"""Images that are read at once."""


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Images, in an order of their own. Memory is a batch, not the set.

    Attributes:
        name: what people call it.
        height, width: of each image, in pixels.
        count: how many there are, 1 or more; of a data set, with those that can't be read.
        fingerprint: says whether two sets are the same.
        batches: size → the images as uint8[b h w 3], b = size but for the last. Raises UserError
            where one can't be read.
        notes: what was done to the images as they were read, a line each.
    """

    name: str
    height: int
    width: int
    count: int
    fingerprint: str
    batches: Callable[[int], Iterator[np.ndarray]]
    notes: tuple[str, ...] = ()


def image_set_of(images: np.ndarray, name: str) -> ImageSet:
    """A set of images that are in memory.

    Args:
        images: uint8[n h w 3], n 1 or more.
        name: of the set.
    """
    count, height, width, _ = images.shape

    def batches(size: int) -> Iterator[np.ndarray]:
        for first in range(0, count, size):
            yield images[first : first + size]

    fingerprint = fingerprint_of([str(images.shape), np.ascontiguousarray(images).tobytes()])
    return ImageSet(name, height, width, count, fingerprint, batches)
