"""How far a job of training is."""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from typing import Self, TextIO

import numpy as np

from glide_jax.progress import Line, TaskProgress, clock_face

_PREVIEWED = 4  # images of a grid that a preview shows


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
        self._newest: TaskProgress | None = None  # the newest

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
        self._newest = self._progress_of(loss, speed, now - self._begun)
        self._shown.show(self._newest)
        return since_last

    def show_images(self, images: np.ndarray) -> None:
        """Show the newest sample grid, where previews are.

        Args:
            images: uint8[n s s 3].
        """
        if self._shown.shows_images and self._newest is not None:
            image = np.concatenate(list(images[:_PREVIEWED]), axis=1)
            self._shown.show(dataclasses.replace(self._newest, image=image))

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

    def _progress_of(self, loss: float, speed: float | None, elapsed_s: float) -> TaskProgress:
        left_s = None
        figures = {"loss": loss, "elapsed_s": round(elapsed_s, 3)}
        parts = [f"{self._name} {self._step}/{self._num_steps}", f"loss {loss:.4f}"]
        if speed:
            figures["images_per_s"] = speed
            left_s = (self._num_steps - self._step) * self._batch_size / speed
            parts += [f"{speed:.3g} images/s" if speed < 100 else f"{speed:.0f} images/s"]
            parts += [f"{clock_face(elapsed_s)} elapsed", f"{clock_face(left_s)} left"]
        else:
            parts += [f"compiled, {clock_face(elapsed_s)} elapsed"]
        counts = self._step, self._num_steps, "steps"
        return TaskProgress(self._name, *counts, left_s, "  ".join(parts), figures)
