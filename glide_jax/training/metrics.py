"""What a run measured, to every place that its config names."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from glide_jax.parallel.processes import by_first_process
from glide_jax.training.sinks import SINKS, Sink
from glide_jax.writing import telling


class Metrics:
    """Writes to sinks. A context manager. Of the processes of a run the first alone writes.

    Args:
        directory: of the stage; made if it is not there.
        first_step: the first step that will be written; what an earlier run wrote of it and of
            later steps is dropped.
        sinks: names in SINKS.

    Raises:
        DiskError: the directory can't be written to.
        UserError: a sink can't be opened.
    """

    @by_first_process
    def __init__(self, directory: str | Path, first_step: int, sinks: Sequence[str]):
        directory = Path(directory)
        with telling(directory):
            directory.mkdir(parents=True, exist_ok=True)
        self._sinks: list[Sink] = []
        for name in sinks:
            self._sinks.append(SINKS[name](directory, first_step))

    @by_first_process
    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write one step's figures; DiskError: the disk is full."""
        for sink in self._sinks:
            sink.write(step, values)

    @by_first_process
    def picture(self, step: int, name: str, pictures: np.ndarray) -> None:
        """Show pictures side by side; DiskError: the disk is full.

        Args:
            step: steps taken.
            name: the series they belong to.
            pictures: uint8[n h w 3].
        """
        sheet = _side_by_side(pictures)
        for sink in self._sinks:
            sink.picture(step, name, sheet)

    @by_first_process
    def close(self) -> None:
        """Let go of the files; DiskError: the disk is full."""
        for sink in self._sinks:
            sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _side_by_side(pictures: np.ndarray) -> np.ndarray:
    """uint8[n h w 3] → one picture, about as many columns as rows, black where none is left."""
    count, height, width, channels = pictures.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = pictures
    sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return sheet.reshape(rows * height, columns * width, channels)
