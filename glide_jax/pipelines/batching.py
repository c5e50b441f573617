"""Pictures cut into batches of one shape."""

from typing import NamedTuple


class Batch(NamedTuple):
    """Pictures drawn at once.

    Attributes:
        slots: which picture each slot draws.
        kept: the slots that count; the others fill the batch up.
    """

    slots: tuple[int, ...]
    kept: tuple[int, ...]


def batches(count: int, size: int, multiple: int) -> list[Batch]:
    """Cut pictures into batches of one shape, since another one would compile again.

    Args:
        count: of pictures, 1 or more.
        size: of a batch, at most, but for `multiple`.
        multiple: of devices, which share a batch evenly.

    Returns:
        The batches, which keep every picture once, in order; the last is filled up with more of
        its first picture.
    """
    size = shared_evenly(min(size, count), multiple)

    def begun_at(start: int) -> Batch:
        left = min(size, count - start)
        return Batch((*range(start, start + left), *[start] * (size - left)), tuple(range(left)))

    return [begun_at(start) for start in range(0, count, size)]


def shared_evenly(size: int, multiple: int) -> int:
    """The size of a batch, or a little more, so that so many devices share it evenly."""
    return -(-size // multiple) * multiple
