"""How far generating a set of images is, in one line."""

from typing import TextIO

from glide_jax.commands.sampling_progress import preview_of
from glide_jax.evaluation.images.generated import GenerationProgress
from glide_jax.progress import Line, TaskProgress, clock_face


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
        if not self._line.shows_all and batch.step != batch.num_steps:
            return
        left = "" if progress.left_s is None else f", {clock_face(progress.left_s)} left"
        size = f"{batch.image_size}×{batch.image_size}"
        text = (
            f"{self._name}: {progress.done:,}/{progress.total:,} images, {size} step "
            f"{batch.step}/{batch.num_steps}{left}"
        )
        figures = {"stage": batch.stage, "step": batch.step, "num_steps": batch.num_steps}
        image = preview_of(batch) if self._line.shows_images else None
        counts = progress.done, progress.total, "images"
        self._line.show(TaskProgress(self._name, *counts, progress.left_s, text, figures, image))

    def wait(self, missing: int) -> None:
        """Show that other processes' images are waited for."""
        text = f"{self._name}: waiting for {missing:,} images of other processes"
        figures = {"missing": missing}
        self._line.show(TaskProgress(self._name, 0, None, "images", None, text, figures))

    def end(self) -> None:
        """End the line."""
        self._line.end()

    def __enter__(self) -> "GenerationLine":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()
