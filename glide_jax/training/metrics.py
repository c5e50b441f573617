"""What a run measured: JSON lines for programs, TensorBoard events for people."""

import contextlib
import io
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image
from tensorboardX.event_file_writer import EventsWriter

# Made from .proto files at import, where pyright doesn't see them.
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore
from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore

from glide_jax.parallel.processes import by_first_process
from glide_jax.writing import telling, whole


class Metrics:
    """Writes DIRECTORY/metrics.jsonl and DIRECTORY/tensorboard. A context manager.

    A line is {"step": 20, "loss": 0.1, ...}; what is no finite number is null there. Of the
    processes of a run the first alone writes.

    Args:
        directory: made if it is not there.
        first_step: the first step that will be written; what an earlier run wrote of it and of
            later steps is dropped.

    Raises:
        DiskError: the directory can't be written to.
    """

    @by_first_process
    def __init__(self, directory: str | Path, first_step: int):
        self._directory = Path(directory)
        lines, events = self._directory / "metrics.jsonl", self._directory / "tensorboard"
        with self._telling():
            events.mkdir(parents=True, exist_ok=True)
            _drop_from(lines, first_step)
            self._lines = lines.open("a", encoding="utf-8")
            # Written in this thread: tensorboardX's own writer has one that dies silently when
            # the disk is full, and then blocks the run.
            self._events = EventsWriter(str(events / "run"), filename_suffix=f".{first_step}")
        self._event(first_step, session_log=SessionLog(status=SessionLog.START))

    @by_first_process
    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write one step's figures; DiskError: the disk is full."""
        finite = {name: float(x) if math.isfinite(x) else None for name, x in values.items()}
        with self._telling():
            self._lines.write(json.dumps({"step": step} | finite) + "\n")
            self._lines.flush()
        scalars = [Summary.Value(tag=name, simple_value=x) for name, x in values.items()]
        self._event(step, summary=Summary(value=scalars))

    @by_first_process
    def picture(self, step: int, name: str, pictures: np.ndarray) -> None:
        """Show pictures in TensorBoard, side by side; DiskError: the disk is full.

        Args:
            step: steps taken.
            name: the series they belong to.
            pictures: uint8[n h w 3].
        """
        sheet = _side_by_side(pictures)
        png = io.BytesIO()
        Image.fromarray(sheet).save(png, format="PNG")
        height, width = sheet.shape[:2]
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=png.getvalue()
        )
        self._event(step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))

    @by_first_process
    def close(self) -> None:
        """Let go of the files; DiskError: the disk is full."""
        with self._telling():
            self._lines.close()
            self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _event(self, step: int, **content: Any) -> None:
        with self._telling():
            self._events.write_event(Event(wall_time=time.time(), step=step, **content))
            self._events.flush()

    def _telling(self) -> contextlib.AbstractContextManager[None]:
        return telling(f"metrics in {self._directory}")


def _drop_from(path: Path, first_step: int) -> None:
    """Leaves the lines of earlier steps; one that a kill cut off goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n") and json.loads(line)["step"] < first_step:
            kept.append(line)
    with whole(path) as part:
        part.write_text("".join(kept), encoding="utf-8")


def _side_by_side(pictures: np.ndarray) -> np.ndarray:
    """uint8[n h w 3] → one picture, about as many columns as rows, black where none is left."""
    count, height, width, channels = pictures.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = pictures
    sheet = sheet.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return sheet.reshape(rows * height, columns * width, channels)
