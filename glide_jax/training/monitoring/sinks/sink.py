"""What a sink for metrics implements."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np


class Sink(Protocol):
    """Receives a job's metrics as soon as they are read from the devices."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the metrics of one step; some may be nan or infinite. Raises DiskError."""
        ...

    def image(self, step: int, name: str, sheet: np.ndarray) -> None:
        """Write an image, uint8[h w 3], of the series `name`. Raises DiskError."""
        ...

    def close(self) -> None:
        """Close it. Raises DiskError."""
        ...


OpenSink = Callable[[Path, int], Sink]
"""(the job's folder, the first step that will be written) → the sink.

What an earlier run wrote of that step and of later ones must no longer show. Raises DiskError,
UserError.
"""
