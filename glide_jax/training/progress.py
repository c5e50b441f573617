"""One line that says how far a run is: rewritten on a terminal, one after another in a log."""

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Self, TextIO


class Line:
    """A line that says how far something is: rewritten on a terminal, in a file one after another.

    Args:
        stream: where it goes.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._is_open = False

    @property
    def is_rewritten(self) -> bool:
        """Whether another line takes this one's place."""
        return self._stream.isatty()

    def show(self, line: str) -> None:
        """Show it."""
        if not self.is_rewritten:
            print(line, file=self._stream, flush=True)
            return
        # A line that wraps could not be rewritten.
        line = line[: shutil.get_terminal_size().columns - 1]
        print(f"\r{line}\x1b[K", end="", file=self._stream, flush=True)
        self._is_open = True

    def end(self) -> None:
        """Let what is printed next have its own line."""
        if self._is_open:
            print(file=self._stream, flush=True)
            self._is_open = False


class Progress:
    """The progress of one stage. A context manager: what is printed after it has its own line.

    Compiling is not counted in the speed: that is measured from the first update on.

    Args:
        name: of the stage.
        start_step: steps already taken.
        num_steps: at which the stage ends.
        batch_size: pictures a step.
        stream: where the line goes.
        clock: the time in seconds.
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
        """Whether no update has been given yet: the next one ends the compilation."""
        return self._compiled is None

    def update(self, step: int, loss: float) -> dict[str, float]:
        """Show that `step` steps are taken; the results must be there, not just asked for.

        Returns:
            Since the update before, {} at the first: {"pictures_per_s": …, "input_wait": …}, the
            latter the share of the time that was spent inside of `waiting`.
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
                "pictures_per_s": self._speed(self._last, step, now),
                "input_wait": self._waited / took,
            }
        self._last, self._waited = (step, now), 0.0
        self._shown.show(self._line(loss, speed, now - self._begun))
        return since_last

    def _speed(self, since: tuple[int, float], step: int, now: float) -> float:
        return (step - since[0]) * self._batch_size / max(now - since[1], 1e-9)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """For what a step waits for: the time spent inside is told as `input_wait`."""
        before = self._clock()
        yield
        self._waited += self._clock() - before

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """For what is no training: the time spent inside does not count in the speed."""
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
            parts += [f"{speed:.3g} pictures/s" if speed < 100 else f"{speed:.0f} pictures/s"]
            parts += [f"{clock_face(elapsed_s)} elapsed", f"{clock_face(left_s)} left"]
        else:
            parts += [f"compiled, {clock_face(elapsed_s)} elapsed"]
        return "  ".join(parts)


def clock_face(seconds: float) -> str:
    """75 → 1:15; 3675 → 1:01:15; days count as hours."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
