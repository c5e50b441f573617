"""Images cut into batches of one shape."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class ImageBatch(NamedTuple):
    """Images sampled at once.

    Attributes:
        slots: which image each slot samples.
        kept: the slots whose images are kept; the others fill the batch up.
    """

    slots: tuple[int, ...]
    kept: tuple[int, ...]


def batches(count: int, size: int) -> list[ImageBatch]:
    """Cut images into batches of one shape, since another shape would compile again.

    Args:
        count: of images, 1 or more.
        size: of every batch.

    Returns:
        The batches, which keep every image once, in order; the last is filled up with more of
        its first image.
    """

    def from_(start: int) -> ImageBatch:
        left = min(size, count - start)
        slots = (*range(start, start + left), *[start] * (size - left))
        return ImageBatch(slots, tuple(range(left)))

    return [from_(start) for start in range(0, count, size)]


def batch_size(count: int, most: int, multiple: int) -> int:
    """The size of batches of so many images.

    Args:
        count: of images, 1 or more.
        most: that are wanted in a batch; no more than there are, but for `multiple`.
        multiple: of devices, which share a batch evenly.
    """
    return shared_evenly(min(most, count), multiple)


def prompts_in_a_part(per_prompt: Sequence[int], sizes: Sequence[int]) -> int:
    """The fewest prompts whose images fill whole batches at every stage.

    Args:
        per_prompt: images of a prompt, at each stage.
        sizes: of a batch, at each stage.
    """
    pairs = zip(per_prompt, sizes, strict=True)
    return math.lcm(*(size // math.gcd(size, images) for images, size in pairs))


def shared_evenly(size: int, multiple: int) -> int:
    """The size of a batch, or a little more, so that so many devices share it evenly."""
    return -(-size // multiple) * multiple
