"""How far generating a set of images is, in one line."""

from typing import TextIO

from glide_jax.evaluation.images.generated import GenerationProgress
from glide_jax.progress_line import Line, clock_face


class GenerationLine:
    """An `on_progress` of `generated`. A context manager: what follows has its own line.

    Args:
        stream: where the line goes; if that is a file, only the end of each batch.
        name: of the set.
    """

    def __init__(self, stream: TextIO, name: str):
        self._line, self._name = Line(stream), name

    def __call__(self, progress: GenerationProgress) -> None:
        """Show the progress."""
        batch = progress.sampling
        if not self._line.is_rewritten and batch.step != batch.num_steps:
            return
        left = "" if progress.left_s is None else f", {clock_face(progress.left_s)} left"
        size = f"{batch.image_size}×{batch.image_size}"
        self._line.show(
            f"{self._name}: {progress.done:,}/{progress.total:,} images, {size} step "
            f"{batch.step}/{batch.num_steps}{left}"
        )

    def wait(self, missing: int) -> None:
        """Show that other processes' images are waited for."""
        self._line.show(f"{self._name}: waiting for {missing:,} images of other processes")

    def end(self) -> None:
        """End the line."""
        self._line.end()

    def __enter__(self) -> "GenerationLine":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()
