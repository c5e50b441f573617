"""How far sampling is, in one line; and on request what the images look like, in one file."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import numpy as np

from glide_jax.data.images import to_uint8
from glide_jax.progress_line import Line, clock_face
from glide_jax.sampling.grid import save_image
from glide_jax.sampling.run import SamplingProgress

_PREVIEWED = 8  # images of a batch that a preview shows


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
        self._stage = ""  # the one that samples now
        self._first = (0, 0.0)  # its steps and the time at its first call: compiling is before it

    def __call__(self, progress: SamplingProgress) -> None:
        """Show the progress."""
        now = self._clock()
        done = (progress.batch - 1) * progress.num_steps + progress.step
        if progress.stage != self._stage:
            self._stage, self._first = progress.stage, (done, now)
        first, since = self._first
        left = ""
        if done > first:
            rate = (now - since) / (done - first)
            left = f", {clock_face(rate * (progress.num_batches * progress.num_steps - done))} left"
        if self._line.is_rewritten or progress.step == progress.num_steps:
            size, steps = progress.image_size, f"step {progress.step}/{progress.num_steps}"
            batch = f"batch {progress.batch}/{progress.num_batches}, "
            self._line.show(f"{size}×{size}: {batch * (progress.num_batches > 1)}{steps}{left}")
        if self._preview is not None:
            shown = np.concatenate(list(to_uint8(progress.x_0_hat[:_PREVIEWED])), axis=1)
            save_image(shown, self._preview)

    def end(self) -> None:
        """End the line; the next call is of something new, with a time of its own."""
        self._line.end()
        self._stage = ""

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()
