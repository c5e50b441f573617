"""How far something is that is counted: bytes, shards, weights; with the time that is left."""

import time
from collections.abc import Callable
from typing import TextIO

from glide_jax.progress.line import Line
from glide_jax.progress.task_progress import TaskProgress, clock_face

_PREFIXES = ("", "k", "M", "G", "T")


class Counter:
    """Shows a count that rises. A context manager: what follows has its own line.

    Args:
        stream: where it is shown.
        task: its name.
        total: of what is counted; None: nobody knows.
        unit: in the plural: `bytes`.
        done: of it, before anything is done now.
        log_every_s: seconds between two lines in a log, which has the last one always; None: a log
            has none.
        clock: the time in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        task: str,
        total: int | None,
        unit: str,
        *,
        done: int = 0,
        log_every_s: float | None = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._line, self._task, self._total, self._unit = Line(stream), task, total, unit
        self._done = self._first = done
        self._every_s, self._clock = log_every_s, clock
        self._begun = self._shown = clock()

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        now = self._clock()
        if not self._line.shows_all:
            is_due = self._done == self._total or now - self._shown >= (self._every_s or 0)
            if self._every_s is None or not is_due:
                return
            self._shown = now
        rate = (self._done - self._first) / max(now - self._begun, 1e-9)
        left_s = None
        if self._total is not None and rate:
            left_s = max(0, self._total - self._done) / rate
        self._line.show(
            TaskProgress(
                self._task, self._done, self._total, self._unit, left_s, self._text(rate, left_s)
            )
        )

    def _text(self, rate: float, left_s: float | None) -> str:
        of = "" if self._total is None else f" of {_short(self._total)}"
        left = "" if left_s is None else f", {clock_face(left_s)} left"
        speed = f", {_short(int(rate))}/s"
        return f"{self._task}: {_short(self._done)}{of} {self._unit}{speed}{left}"

    def __enter__(self) -> "Counter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._line.end()


def _short(number: int) -> str:
    """999 → 999; 1540000 → 1.54M."""
    value, place = float(number), 0
    while value >= 1000 and place < len(_PREFIXES) - 1:
        value, place = value / 1000, place + 1
    return f"{value:.3g}{_PREFIXES[place]}" if place else str(number)
