"""The images of a data set's split, as a model of some resolution is trained on them."""

import logging
from collections.abc import Iterator

import numpy as np

from glide_jax import data
from glide_jax.data.images import BrokenImage, square
from glide_jax.data.source import fingerprint_of
from glide_jax.errors import UserError
from glide_jax.evaluation.images.image_set import ImageSet

_log = logging.getLogger(__name__)


def open_data(name: str, path: str, split: str, size: int, count: int | None) -> ImageSet:
    """A split's images: the middle square of each, resized as in training.

    Those that can't be read are left out, and counted in the log as they are met.

    Args:
        name, path: of the data set, see `data.prepare`.
        split: of it.
        size: pixels a side.
        count: only the first so many; None: all.

    Raises:
        UserError: there is no such data set or split.
    """
    source = data.open_prepared(name, path, split)
    count = len(source) if count is None else min(count, len(source))
    shown = f"{name}, split {split}"

    def batches(batch: int, rows: range | None = None) -> Iterator[np.ndarray]:
        pixels: list[np.ndarray] = []
        broken = 0
        for i in range(count) if rows is None else rows:
            try:
                pixels.append(square(source[i].image, size))
            except BrokenImage:
                broken += 1
            if len(pixels) == batch:
                yield np.stack(pixels)
                pixels = []
        if pixels:
            yield np.stack(pixels)
        if broken == count:
            raise UserError(f"none of the {count} images of {shown} can be read")
        if broken:
            _log.warning("%d of %d images of %s can't be read: left out", broken, count, shown)

    fingerprint = fingerprint_of([source.fingerprint, split, size, count])
    return ImageSet(shown, size, size, count, fingerprint, batches)
