"""What steps gave, told without the devices having to wait for it."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from glide_jax.config import TrainingConfig
from glide_jax.errors import UserError
from glide_jax.training.checkpoints import Checkpoints
from glide_jax.training.metrics import Metrics
from glide_jax.training.progress import Progress
from glide_jax.training.quartiles import quartile_means

Mfu = Callable[[float], float]
"""Steps a second → the share of the devices' speed that they use, as `cost.Cost.mfu`."""

COUNTED = ("skipped", "stand_ins")
"""Figures of which the sum is told, not the mean."""


@dataclasses.dataclass
class Reports:
    """Reads what steps gave and writes a line of metrics; it counts the steps that were skipped.

    A line that is due is told when the step after it was asked for: while it is read and written,
    the devices have something to do.

    Attributes:
        config: of the stage's training.
        mfu: None: it is not told.
        checkpoints: the newest is named where too many steps were skipped.
        metrics: where lines go.
        progress: what shows them.
    """

    config: TrainingConfig
    mfu: Mfu | None
    checkpoints: Checkpoints
    metrics: Metrics
    progress: Progress

    def __post_init__(self):
        self._pending: list[dict[str, Any]] = []
        self._due: tuple[int, list[dict[str, Any]]] | None = None
        self._skipped_in_a_row = 0

    def add(self, gave: dict[str, Any]) -> None:
        """Take what the newest step gave; it may still be at work."""
        self._pending.append(gave)

    def due(self, step: int) -> None:
        """Say that a line is to be told of what was added, up to this step."""
        self._due, self._pending = (step, self._pending), []

    def tell(self) -> None:
        """Tell the line that is due, if one is.

        Raises:
            UserError: more steps in a row than allowed were skipped.
            DiskError: it can't be written.
        """
        if self._due is None:
            return
        (step, pending), self._due = self._due, None
        values = self._means(jax.device_get(pending), step)
        speed = self.progress.update(step, values["loss"])
        if speed and self.mfu:
            speed["mfu"] = self.mfu(speed["pictures_per_s"] / self.config.batch_size)
        self.metrics.write(step, values | speed)

    def _means(self, rows: list[dict[str, Any]], step: int) -> dict[str, float]:
        """Each figure's mean over the steps that were taken, and how many were not."""
        for row in rows:
            self._skipped_in_a_row = self._skipped_in_a_row + 1 if row["skipped"] else 0
            if self._skipped_in_a_row > self.config.max_skipped_steps:
                self._stop(step)
        taken = [row for row in rows if not row["skipped"]]
        names = rows[0].keys() - {*COUNTED, "quartiles"}
        means = {n: float(np.mean([r[n] for r in taken])) if taken else math.nan for n in names}
        means |= quartile_means([row["quartiles"] for row in taken])
        return means | {name: int(sum(row[name] for row in rows)) for name in COUNTED}

    def _stop(self, step: int) -> None:
        found, limit = self.checkpoints.latest(), self.config.max_skipped_steps
        good = f"the last good checkpoint is step {found.step}" if found else "nothing was saved"
        raise UserError(
            f"the loss or a gradient is no number at step {step}, {self._skipped_in_a_row} steps "
            f"in a row, more than training.max_skipped_steps={limit}; {good}; "
            "lower training.learning_rate or training.clip_norm and run again in a new workdir"
        )
