"""Weights & Biases, an extra: pip install 'glide_jax[wandb]'.

WANDB_PROJECT, WANDB_MODE=offline and all its other variables say what they say elsewhere.
"""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from glide_jax.errors import UserError, one_line
from glide_jax.writing import telling

_ID = "wandb_id"


class WeightsAndBiases:
    """A Sink: one run of theirs a stage, which goes on when the stage does."""

    def __init__(self, directory: Path, first_step: int):
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError(
                "watching.sinks names wandb, which is not installed: pip install 'glide_jax[wandb]'"
            ) from None
        self._wandb = wandb
        kept = directory / _ID
        with telling(kept):
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
                # What is printed is the run's own; theirs would be a second progress line.
                settings=wandb.Settings(silent=True, console="off"),
            )
        except wandb.Error as error:
            raise UserError(
                f"Weights & Biases: {one_line(error)}; wandb login, or WANDB_MODE=offline"
            ) from error

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See Sink. A step that their run has already is left out by them."""
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, sheet: np.ndarray) -> None:
        """See Sink."""
        self._run.log({name: self._wandb.Image(sheet)}, step=step)

    def close(self) -> None:
        """See Sink."""
        self._run.finish()
