"""Pace: how far a batch is, and how long it will take, from what steps of its kind took before."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

_REMEMBERED = 64
_REPORTS = 25
"""Of each stage, at least, where it has as many steps; more would keep a fast device waiting."""

_NEWEST = 0.3
"""Weight of the newest step in the average of seconds a step."""


class Pace:
    """Seconds a step, by kind of request and stage; the oldest kinds are forgotten."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[Hashable, float] = OrderedDict()

    def watch(self, kind: Hashable, stages: Sequence[tuple[str, int]]) -> "Watch":
        """A batch begins.

        Args:
            kind: what decides how long a step takes.
            stages: (name, steps) of each stage that samples.
        """
        return Watch(self, kind, stages)

    def seconds(self, key: Hashable) -> float | None:
        """Of a step; None: there was none yet."""
        return self._seconds.get(key)

    def note(self, key: Hashable, seconds: float) -> None:
        """A step took so long."""
        before = self._seconds.pop(key, seconds)
        self._seconds[key] = before + _NEWEST * (seconds - before)
        if len(self._seconds) > _REMEMBERED:
            self._seconds.popitem(last=False)


class Watch:
    """How far one batch is.

    Attributes:
        fraction: of its time, from 0 to 1, as far as that is known.
        seconds_left: None: not known yet.
        every: how many steps are between two reports.
    """

    def __init__(self, pace: Pace, kind: Hashable, stages: Sequence[tuple[str, int]]):
        self._pace, self._kind, self._stages = pace, kind, stages
        self._stage, self._step, self._since = "", 0, 0.0
        self.every = max(1, min(count for _, count in stages) // _REPORTS)

    def advance(self, stage: str, step: int, now: float) -> None:
        """A stage has taken so many steps. The first of a stage may have compiled: it counts not.

        Args:
            stage: its name.
            step: how many.
            now: in seconds.
        """
        if stage == self._stage and step > self._step:
            each = (now - self._since) / (step - self._step)
            self._pace.note((self._kind, stage), each)
        self._stage, self._step, self._since = stage, step, now

    @property
    def seconds_left(self) -> float | None:
        """See the class."""
        seconds = 0.0
        for stage, left in self._left():
            each = self._pace.seconds((self._kind, stage))
            if each is None and left:
                return None
            seconds += (each or 0.0) * left
        return seconds

    @property
    def fraction(self) -> float:
        """See the class."""
        total = left_over = 0.0
        left = dict(self._left())
        for stage, count in self._stages:
            each = self._pace.seconds((self._kind, stage)) or 1.0
            total += each * count
            left_over += each * left[stage]
        return 1 - left_over / total if total else 0.0

    def _left(self) -> list[tuple[str, int]]:
        """(stage, steps to take) of each."""
        names = [name for name, _ in self._stages]
        now = names.index(self._stage) if self._stage in names else -1
        return [
            (name, 0 if place < now else count - (self._step if place == now else 0))
            for place, (name, count) in enumerate(self._stages)
        ]
