"""What a place for figures is to a run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np


class Sink(Protocol):
    """Takes what a stage's training measured, as soon as it is measured."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Take one step's figures. Some may be nan or infinite. Raises DiskError."""
        ...

    def picture(self, step: int, name: str, sheet: np.ndarray) -> None:
        """Take a picture, uint8[h w 3], of a series. Raises DiskError."""
        ...

    def close(self) -> None:
        """Let go. Raises DiskError."""
        ...


OpenSink = Callable[[Path, int], Sink]
"""(the stage's directory, the first step that will be written) → the sink. What an earlier run
wrote of that step and of later ones is not to be seen any more. Raises DiskError, UserError."""
