"""Images cut into batches of one shape."""

from typing import NamedTuple


class ImageBatch(NamedTuple):
    """Images sampled at once.

    Attributes:
        slots: which image each slot samples.
        kept: the slots whose images are kept; the others fill the batch up.
    """

    slots: tuple[int, ...]
    kept: tuple[int, ...]


def batches(count: int, size: int, multiple: int) -> list[ImageBatch]:
    """Cut images into batches of one shape, since another shape would compile again.

    Args:
        count: of images, 1 or more.
        size: of a batch, at most, but for `multiple`.
        multiple: of devices, which share a batch evenly.

    Returns:
        The batches, which keep every image once, in order; the last is filled up with more of
        its first image.
    """
    size = shared_evenly(min(size, count), multiple)

    def from_(start: int) -> ImageBatch:
        left = min(size, count - start)
        slots = (*range(start, start + left), *[start] * (size - left))
        return ImageBatch(slots, tuple(range(left)))

    return [from_(start) for start in range(0, count, size)]


def shared_evenly(size: int, multiple: int) -> int:
    """The size of a batch, or a little more, so that so many devices share it evenly."""
    return -(-size // multiple) * multiple
