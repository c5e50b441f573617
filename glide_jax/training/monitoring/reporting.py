"""Reads the steps' metrics and writes them without making the devices wait."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from glide_jax.checkpoints import Checkpoints
from glide_jax.config import TrainingConfig
from glide_jax.errors import UserError
from glide_jax.training.job import Mfu
from glide_jax.training.monitoring.metrics import Metrics
from glide_jax.training.monitoring.progress import Progress
from glide_jax.training.monitoring.quartiles import quartile_means

SUMMED = ("skipped", "replacements")
"""Metrics whose sum over the steps is written, not the mean."""


@dataclasses.dataclass
class Reports:
    """Averages the steps' metrics, writes them, and stops a run that skips too many steps.

    A line that is due is written after the next step was dispatched: while the metrics are read
    and written, the devices have work.

    Attributes:
        config: how the job is trained.
        mfu: computes the utilisation; None: it is not written.
        checkpoints: whose newest is named where too many steps were skipped.
        metrics: where lines are written.
        progress: the progress line.
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

    def add(self, step_metrics: dict[str, Any]) -> None:
        """Take the metrics of the newest step; they may not be computed yet."""
        self._pending.append(step_metrics)

    def due(self, step: int) -> None:
        """Mark a line as due: of all that was added since the last one, up to this step."""
        self._due, self._pending = (step, self._pending), []

    def write(self) -> None:
        """Write the line that is due, if there is one.

        Raises:
            UserError: more steps in a row were skipped than `training.max_skipped_steps`.
            DiskError: the line can't be written.
        """
        if self._due is None:
            return
        (step, pending), self._due = self._due, None
        values = self._means(jax.device_get(pending), step)
        speed = self.progress.update(step, values["loss"])
        if speed and self.mfu:
            speed["mfu"] = self.mfu(speed["images_per_s"] / self.config.batch_size)
        self.metrics.write(step, values | speed)

    def _means(self, rows: list[dict[str, Any]], step: int) -> dict[str, float]:
        """Each metric's mean over the steps that were not skipped; the sums of SUMMED."""
        for row in rows:
            self._skipped_in_a_row = self._skipped_in_a_row + 1 if row["skipped"] else 0
            if self._skipped_in_a_row > self.config.max_skipped_steps:
                self._stop(step)
        taken = [row for row in rows if not row["skipped"]]
        names = rows[0].keys() - {*SUMMED, "quartiles"}
        means = {n: float(np.mean([r[n] for r in taken])) if taken else math.nan for n in names}
        means |= quartile_means([row["quartiles"] for row in taken])
        return means | {name: int(sum(row[name] for row in rows)) for name in SUMMED}

    def _stop(self, step: int) -> None:
        found, limit = self.checkpoints.latest(), self.config.max_skipped_steps
        last = f"the last good checkpoint is step {found.step}" if found else "nothing was saved"
        raise UserError(
            f"the loss or a gradient is not finite at step {step}, {self._skipped_in_a_row} steps "
            f"in a row, more than training.max_skipped_steps={limit}; {last}; "
            "lower training.learning_rate or training.clip_norm and run again in a new workdir"
        )
