"""Checkpoints on disk or in a bucket; the one package that knows Orbax."""

from glide_jax.checkpoints.layout import CHECKPOINTS, checkpoints_of
from glide_jax.checkpoints.quiet import quiet_background_errors
from glide_jax.checkpoints.reading import Checkpoint, DataSet, find_checkpoint, open_checkpoint
from glide_jax.checkpoints.workdir import initial_checkpoint, open_stage, read_experiment
from glide_jax.checkpoints.writing import Checkpoints, refuse_another_run, refuse_other_data

__all__ = [
    "CHECKPOINTS",
    "Checkpoint",
    "Checkpoints",
    "DataSet",
    "checkpoints_of",
    "find_checkpoint",
    "initial_checkpoint",
    "open_checkpoint",
    "open_stage",
    "quiet_background_errors",
    "read_experiment",
    "refuse_another_run",
    "refuse_other_data",
]
