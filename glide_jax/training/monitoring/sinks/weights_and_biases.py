"""Weights & Biases, an extra: pip install 'glide_jax[wandb]'.

WANDB_PROJECT, WANDB_MODE=offline and its other environment variables work as usual.
"""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from glide_jax.errors import UserError, one_line
from glide_jax.writing import disk_errors

_ID = "wandb_id"


class WeightsAndBiases:
    """A Sink: one wandb run for each job, resumed when the job is."""

    def __init__(self, directory: Path, first_step: int):
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError(
                "monitoring.sinks names wandb, which is not installed: "
                "pip install 'glide_jax[wandb]'"
            ) from None
        self._wandb = wandb
        kept = directory / _ID
        with disk_errors(kept):
            if not kept.exists():
                kept.write_text(uuid.uuid4().hex[:12])
            run_id = kept.read_text()
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "glide_jax"),
                name="/".join(directory.absolute().parts[-2:]),
                dir=str(directory),
                id=run_id,
                resume="allow",
                # The run prints its own progress line; one of wandb's would be a second.
                settings=wandb.Settings(silent=True, console="off"),
            )
        except wandb.Error as error:
            raise UserError(
                f"Weights & Biases: {one_line(error)}; wandb login, or WANDB_MODE=offline"
            ) from error

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See Sink. wandb ignores a step that its run has already."""
        self._run.log(dict(values), step=step)

    def image(self, step: int, name: str, sheet: np.ndarray) -> None:
        """See Sink."""
        self._run.log({name: self._wandb.Image(sheet)}, step=step)

    def close(self) -> None:
        """See Sink."""
        self._run.finish()
