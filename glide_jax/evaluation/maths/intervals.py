"""A figure and its 95 % interval; what it is an interval of, the function that gives it says."""

from typing import NamedTuple

LEVEL = 0.95
"""Of every interval."""


class Interval(NamedTuple):
    """A figure and its 95 % interval.

    Attributes:
        value: the figure.
        low, high: the interval's ends.
    """

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Interval":
        """All three, times a positive factor."""
        return Interval(*(factor * x for x in self))
