"""Initial weights: a stage that starts from the checkpoint of another workdir."""

from typing import Any

import numpy as np

from glide_jax.checkpoints import Checkpoint, checkpoints_of, find_checkpoint
from glide_jax.config import MAY_CHANGE_BEFORE, Experiment, GlideConfig, StageConfig, conflicts
from glide_jax.errors import UserError, a_few, unknown_name
from glide_jax.models.glide import with_inpainting
from glide_jax.storage import storage_path
from glide_jax.text.reader import CaptionReader
from glide_jax.types import Params


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


def initial_params(
    name: str, experiment: Experiment, model: Any, reader: CaptionReader | None
) -> Params:
    """The EMA weights of the stage in `training.init_from`, fitted to this model.

    A model that inpaints may start from one that doesn't (`with_inpainting`).

    Args:
        name: of the stage, in both workdirs.
        experiment: the experiment to start.
        model: the stage's model.
        reader: of the run's captions; None: it reads none.

    Returns:
        Arrays in host memory, one for every weight of the model; {} where `init_from` is empty.

    Raises:
        UserError: there is no checkpoint, or it holds a different model, tokenizer or text encoder.
    """
    checkpoint = initial_checkpoint(name, experiment.stages[name])
    if checkpoint is None:
        return {}
    there = checkpoint.experiment
    if name not in there.stages:
        raise unknown_name("stage", name, there.stages)
    theirs, ours = there.only(name), experiment.only(name)
    learns_to_inpaint = not _inpaints(theirs) and _inpaints(ours)
    may_change = MAY_CHANGE_BEFORE
    if learns_to_inpaint:
        may_change = (*may_change, "stages.*.model.inpaint")
    if found := conflicts(theirs, ours, may_change):
        raise UserError(
            f"training.init_from: {checkpoint.path} holds a different model (theirs → yours: "
            f"{a_few(found, '; ')}); set these keys to its values"
        )
    if checkpoint.tokenizer != (reader.to_dict() if reader else {}):
        raise UserError(
            f"training.init_from: {checkpoint.path} has a different tokenizer, or text encoder, "
            "than this run; start all stages from the same workdir, and in a new --workdir"
        )
    print(f"{name}: starting from the weights of {checkpoint.path}")
    shapes = checkpoint.shapes("ema_params")
    restored = checkpoint.restore({"ema_params": shapes})["ema_params"]
    params = with_inpainting(restored) if learns_to_inpaint else restored
    if {path: x.shape for path, x in params.items()} != {
        path: x.shape for path, x in model.shapes.items()
    }:
        raise UserError(
            f"training.init_from: {checkpoint.path} does not hold this model's weights; "
            "use the version of glide_jax that wrote it"
        )
    # Not left on the first device: it may be too small for what the mesh shares out.
    on_host: Any = {path: np.asarray(x) for path, x in params.items()}
    return on_host


def _inpaints(experiment: Experiment) -> bool:
    return isinstance(model := experiment.first_stage.model, GlideConfig) and model.inpaint
