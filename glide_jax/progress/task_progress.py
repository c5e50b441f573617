"""What is known of how far something is."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclasses.dataclass(frozen=True)
class TaskProgress:
    """How far a task is.

    Attributes:
        task: its name: of a stage, an image size, a file.
        done, total: of the task, in `unit`; total None: nobody knows.
        unit: what is counted, in the plural: `steps`.
        left_s: about how many seconds are left; None: not known yet.
        text: all of it in one line, for a log; it begins with the task.
        figures: what else is known, numbers or words.
        image: uint8[h w 3], what a preview shows; None: there is none.
    """

    task: str
    done: int
    total: int | None
    unit: str
    left_s: float | None
    text: str
    figures: Mapping[str, float | int | str] = dataclasses.field(default_factory=dict)
    image: "np.ndarray | None" = None

    @property
    def detail(self) -> str:
        """The text without the name of the task."""
        return self.text.removeprefix(self.task).lstrip(": ")


def clock_face(seconds: float) -> str:
    """75 → 1:15; 3675 → 1:01:15; days count as hours."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
