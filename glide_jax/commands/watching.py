"""How far a drawing is, in one line; and on request what it looks like, in one file."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import numpy as np

from glide_jax.data.images import to_uint8
from glide_jax.pipelines.grid import save_picture
from glide_jax.pipelines.one_stage import Step
from glide_jax.training.progress import Line, clock_face

_PREVIEWED = 8  # pictures of a batch that a preview shows


class Watch:
    """An `on_step`. A context manager: what is printed after it has its own line.

    Args:
        stream: where the line goes; to a file only the end of each batch.
        preview: the PNG that shows what x_0 is taken to be; None: there is none.
        every: steps between two writings of it.
        clock: the time in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        preview: Path | None,
        every: int,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._line = Line(stream)
        self._preview, self._every, self._clock = preview, every, clock
        self._size = 0  # of the stage that draws now
        self._first = (0, 0.0)  # steps done and the time, at its first news: compiling is before it

    def __call__(self, step: Step) -> None:
        """Show a step."""
        now, done = self._clock(), (step.batch - 1) * step.num_steps + step.step
        if step.size != self._size:
            self._size, self._first = step.size, (done, now)
        first, since = self._first
        left = ""
        if done > first:
            rate = (now - since) / (done - first)
            left = f", {clock_face(rate * (step.num_batches * step.num_steps - done))} left"
        if self._line.is_rewritten or step.step == step.num_steps:
            batch = f"batch {step.batch}/{step.num_batches}, " if step.num_batches > 1 else ""
            self._line.show(
                f"{step.size}×{step.size}: {batch}step {step.step}/{step.num_steps}{left}"
            )
        if self._preview is not None and step.step % self._every == 0:
            shown = np.concatenate(list(to_uint8(step.pictures[:_PREVIEWED])), axis=1)
            save_picture(shown, self._preview)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *exception: object) -> None:
        self._line.end()
