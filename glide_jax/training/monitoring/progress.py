"""The progress line of a run: rewritten in place on a terminal, line after line in a log."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Self, TextIO

from glide_jax.progress_line import Line, clock_face


class Progress:
    """The progress of one job. A context manager, which ends the line at its exit.

    Compilation does not count in the speed, which is measured from the first update on.

    Args:
        name: the job's.
        start_step: steps already taken.
        num_steps: the last step.
        batch_size: images a step.
        stream: where the line is written; None: standard output.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        name: str,
        start_step: int,
        num_steps: int,
        batch_size: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._name, self._num_steps, self._batch_size = name, num_steps, batch_size
        self._shown = Line(stream or sys.stdout)
        self._clock = clock
        self._begun = clock()
        self._step = start_step
        self._compiled: tuple[int, float] | None = None  # step and time of the first update
        self._last = start_step, self._begun  # of the newest
        self._waited = 0.0  # seconds since then

    @property
    def is_first(self) -> bool:
        """Whether there was no update yet; the first one comes when the step is compiled."""
        return self._compiled is None

    def update(self, step: int, loss: float) -> dict[str, float]:
        """Show that `step` steps are finished, not only dispatched.

        Args:
            step: steps taken.
            loss: shown in the line.

        Returns:
            {} at the first update; then {"images_per_s": …, "input_wait": …} since the last one,
            the latter the share of the time spent inside `waiting`, in [0, 1].
        """
        now = self._clock()
        self._step = step
        speed, since_last = None, {}
        if self._compiled is None:
            self._compiled = step, now
        else:
            speed = self._speed(self._compiled, step, now)
            took = max(now - self._last[1], 1e-9)
            since_last = {
                "images_per_s": self._speed(self._last, step, now),
                "input_wait": self._waited / took,
            }
        self._last, self._waited = (step, now), 0.0
        self._shown.show(self._line(loss, speed, now - self._begun))
        return since_last

    def _speed(self, since: tuple[int, float], step: int, now: float) -> float:
        return (step - since[0]) * self._batch_size / max(now - since[1], 1e-9)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Wraps waiting for data: the time spent inside is reported as `input_wait`."""
        before = self._clock()
        yield
        self._waited += self._clock() - before

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Wraps what is not training: the time spent inside does not count in the speed."""
        self._shown.end()
        before = self._clock()
        yield
        paused_s = self._clock() - before
        self._last = self._last[0], self._last[1] + paused_s
        if self._compiled is not None:
            step, since = self._compiled
            self._compiled = step, since + paused_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._shown.end()

    def _line(self, loss: float, speed: float | None, elapsed_s: float) -> str:
        parts = [f"{self._name} {self._step}/{self._num_steps}", f"loss {loss:.4f}"]
        if speed:
            left_s = (self._num_steps - self._step) * self._batch_size / speed
            parts += [f"{speed:.3g} images/s" if speed < 100 else f"{speed:.0f} images/s"]
            parts += [f"{clock_face(elapsed_s)} elapsed", f"{clock_face(left_s)} left"]
        else:
            parts += [f"compiled, {clock_face(elapsed_s)} elapsed"]
        return "  ".join(parts)
