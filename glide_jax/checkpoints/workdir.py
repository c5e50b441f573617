"""A workdir: which stages it holds, and the newest checkpoint of each."""

from pathlib import Path

from glide_jax.checkpoints.layout import CHECKPOINTS, checkpoints_of
from glide_jax.checkpoints.reading import (
    Checkpoint,
    find_checkpoint,
    no_checkpoint,
    open_checkpoint,
)
from glide_jax.config import Experiment, StageConfig
from glide_jax.errors import UserError, unknown_name
from glide_jax.storage import storage_path


def read_experiment(workdir: Path) -> Experiment:
    """The experiment of a workdir, from the newest checkpoint of its first stage that has one.

    Args:
        workdir: of training or of import.

    Raises:
        UserError: there is no checkpoint, or another version of glide_jax wrote it.
    """
    folders = sorted(workdir.glob(f"*/{CHECKPOINTS}")) if workdir.is_dir() else []
    found = [checkpoint for folder in folders if (checkpoint := find_checkpoint(folder))]
    if not found:
        raise no_checkpoint(folders[0] if folders else workdir)
    experiment = found[0].experiment
    by_stage = {checkpoint.stage: checkpoint for checkpoint in found}
    first = next((name for name in experiment.stages if name in by_stage), None)
    return by_stage[first].experiment if first else experiment


def open_stage(workdir: Path, name: str | None = None) -> Checkpoint:
    """The newest checkpoint of a workdir's stage.

    Args:
        workdir: of training or of import.
        name: of the stage; None: the first.

    Raises:
        UserError: there is no such stage, or no checkpoint of it.
    """
    stages = read_experiment(workdir).stages
    if name is None:
        name = next(iter(stages))
    if name not in stages:
        raise unknown_name("stage", name, stages)
    return open_checkpoint(checkpoints_of(workdir, name))


def initial_checkpoint(name: str, stage: StageConfig) -> Checkpoint | None:
    """The newest checkpoint of the stage in `training.init_from`; None: it is empty.

    Args:
        name: of the stage, in both workdirs.
        stage: its config.

    Raises:
        UserError: that workdir has no checkpoint of the stage.
    """
    workdir = stage.training.init_from
    if not workdir:
        return None
    there = storage_path(workdir)
    if found := find_checkpoint(checkpoints_of(there, name)):
        return found
    folders = sorted(there.glob("*/checkpoints")) if there.is_dir() else []
    stages = [folder.parent.name for folder in folders if find_checkpoint(folder)]
    if stages:
        what = f"holds no checkpoint of a stage {name!r}, only of {', '.join(stages)}"
    else:
        what = "holds no checkpoint" if there.is_dir() else "does not exist"
    raise UserError(
        f"stages.{name}.training.init_from={workdir}: that workdir {what}; give one of a training "
        f"or an import with a stage {name!r}, or leave init_from empty to start from random weights"
    )
