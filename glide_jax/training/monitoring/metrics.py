"""Writes a run's metrics to every sink that its config names."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from glide_jax.parallel.processes import by_first_process
from glide_jax.storage import Spool, storage_path
from glide_jax.training.monitoring.sinks import CONTINUED, Sink, open_sink
from glide_jax.writing import disk_errors


class Metrics:
    """Writes to sinks. A context manager. Of several processes only the first one writes.

    Args:
        directory: the job's folder, local or in a bucket; made if it does not exist.
        first_step: the first step that will be written; what an earlier run wrote of it and of
            later steps is dropped.
        sinks: names in SINKS.

    Raises:
        DiskError: the directory can't be written to.
        UserError: a sink can't be opened.
    """

    @by_first_process
    def __init__(self, directory: str | Path, first_step: int, sinks: Sequence[str]):
        directory = storage_path(directory)
        with disk_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            self._spool = Spool(directory, continued=CONTINUED)
        self._sinks: list[Sink] = []
        for name in sinks:
            self._sinks.append(open_sink(name, self._spool.folder, first_step))

    @by_first_process
    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the metrics of one step; DiskError: the disk is full."""
        for sink in self._sinks:
            sink.write(step, values)

    @by_first_process
    def image(self, step: int, name: str, images: np.ndarray) -> None:
        """Write images side by side as one; DiskError: the disk is full.

        Args:
            step: steps taken.
            name: the series that they belong to.
            images: uint8[n h w 3].
        """
        sheet = _side_by_side(images)
        for sink in self._sinks:
            sink.image(step, name, sheet)

    @by_first_process
    def close(self) -> None:
        """Close the sinks; DiskError: the disk is full."""
        try:
            for sink in self._sinks:
                sink.close()
        finally:
            self._spool.close()

    @by_first_process
    def flush(self) -> None:
        """Bring what was written into the bucket, before a checkpoint that comes after it."""
        self._spool.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _side_by_side(images: np.ndarray) -> np.ndarray:
    """uint8[n h w 3] → one image, about as many columns as rows, black where none is left."""
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = images
    sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return sheet.reshape(rows * height, columns * width, channels)
