"""DIRECTORY/tensorboard: tensorboard --logdir DIRECTORY."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX.event_file_writer import EventsWriter

# Generated from .proto files, which pyright can't see.
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore
from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore

from glide_jax.writing import disk_errors


class TensorBoard:
    """A Sink."""

    def __init__(self, directory: Path, first_step: int):
        self._folder = directory / "tensorboard"
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            # Written in this thread: the thread of tensorboardX's SummaryWriter dies silently when
            # the disk is full, and then blocks the run.
            self._events = EventsWriter(str(self._folder / "run"), filename_suffix=f".{first_step}")
        self._event(first_step, session_log=SessionLog(status=SessionLog.START))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See Sink."""
        scalars = [Summary.Value(tag=name, simple_value=x) for name, x in values.items()]
        self._event(step, summary=Summary(value=scalars))

    def image(self, step: int, name: str, sheet: np.ndarray) -> None:
        """See Sink."""
        png = io.BytesIO()
        Image.fromarray(sheet).save(png, format="PNG")
        height, width = sheet.shape[:2]
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=png.getvalue()
        )
        self._event(step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))

    def close(self) -> None:
        """See Sink."""
        with disk_errors(self._folder):
            self._events.close()

    def _event(self, step: int, **content: Any) -> None:
        with disk_errors(self._folder):
            self._events.write_event(Event(wall_time=time.time(), step=step, **content))
            self._events.flush()
