"""How far sampling is, in one line; and on request what the images look like, in one file."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import numpy as np

from glide_jax.data.images import to_uint8
from glide_jax.progress import Line, TaskProgress, clock_face
from glide_jax.sampling.grid import save_image
from glide_jax.sampling.run import SamplingProgress

_PREVIEWED = 8  # images of a batch that a preview shows
_COLUMNS = 4  # of them side by side on a terminal


class _Pace:
    """How long a stage's steps take: stages take turns, and compiling is before the first call."""

    def __init__(self):
        self._left = 0
        self._steps, self._seconds = 0, 0.0  # that were measured
        self._last = (0, 0.0)

    def add(self, done: int, total: int, now: float, *, goes_on: bool) -> None:
        """A call after so many steps of the stage; goes_on: the last call was the stage's too."""
        if goes_on:
            steps, before = self._last
            self._steps += done - steps
            self._seconds += now - before
        self._last, self._left = (done, now), total - done

    @property
    def left_s(self) -> float | None:
        """Seconds that what is left takes; None: not known yet."""
        if not self._left:
            return 0.0
        return self._seconds / self._steps * self._left if self._steps else None


class ProgressLine:
    """An `on_progress`. A context manager: what is printed after it has its own line.

    Args:
        stream: where the line goes; if that is a file, only the end of each batch.
        preview: the PNG that is written at each call, of the model's estimate of x_0; None: none.
        clock: the time in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        preview: Path | None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._line = Line(stream)
        self._preview, self._clock = preview, clock
        self._paces: dict[str, _Pace] = {}  # by stage
        self._stage = ""  # the one that samples now

    def __call__(self, progress: SamplingProgress) -> None:
        """Show the progress."""
        done = (progress.batch - 1) * progress.num_steps + progress.step
        total = progress.num_batches * progress.num_steps
        pace = self._paces.setdefault(progress.stage, _Pace())
        pace.add(done, total, self._clock(), goes_on=progress.stage == self._stage)
        self._stage = progress.stage
        lefts = [x for pace in self._paces.values() if (x := pace.left_s) is not None]
        left_s = sum(lefts) if len(lefts) == len(self._paces) else None
        if self._line.shows_all or progress.step == progress.num_steps:
            image = preview_of(progress) if self._line.shows_images else None
            self._line.show(_task_progress(progress, done, total, left_s, image))
        if self._preview is not None:
            shown = np.concatenate(list(to_uint8(progress.x_0_hat[:_PREVIEWED])), axis=1)
            save_image(shown, self._preview)

    def end(self) -> None:
        """End the line; the next call is of something new, with a time of its own."""
        self._line.end()
        self._paces, self._stage = {}, ""

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()


def preview_of(progress: SamplingProgress) -> np.ndarray:
    """The images so far, for a terminal: uint8[h w 3], rows of at most four."""
    images = to_uint8(progress.x_0_hat[:_PREVIEWED])
    columns = min(len(images), _COLUMNS)
    # The last row is filled up with black.
    missing = -len(images) % columns
    tiles = np.concatenate([images, np.zeros_like(images[:1]).repeat(missing, axis=0)])
    rows = tiles.reshape(-1, columns, *images.shape[1:])
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])


def _task_progress(
    progress: SamplingProgress,
    done: int,
    total: int,
    left_s: float | None,
    image: np.ndarray | None,
) -> TaskProgress:
    task = f"{progress.image_size}×{progress.image_size}"
    batch = f"batch {progress.batch}/{progress.num_batches}, " * (progress.num_batches > 1)
    left = "" if left_s is None else f", {clock_face(left_s)} left"
    text = f"{task}: {batch}step {progress.step}/{progress.num_steps}{left}"
    figures = {
        "stage": progress.stage,
        "batch": progress.batch,
        "num_batches": progress.num_batches,
        "step": progress.step,
        "num_steps": progress.num_steps,
    }
    return TaskProgress(task, done, total, "steps", left_s, text, figures, image)
