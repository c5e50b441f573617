"""Starting weights: a stage that begins from what another workdir holds of it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from glide_jax.config import MAY_CHANGE_BEFORE, Experiment, GlideConfig, StageConfig, conflicts
from glide_jax.errors import UserError, a_few
from glide_jax.models.glide import with_inpainting
from glide_jax.text import Tokenizer
from glide_jax.training.checkpoints import Checkpoint, checkpoints_of, open_checkpoint
from glide_jax.types import Params


def starting_checkpoint(name: str, stage: StageConfig) -> Checkpoint | None:
    """The newest checkpoint of the stage in `training.init_from`; None: it begins from nothing.

    Raises:
        UserError: there is none in that workdir.
    """
    if not stage.training.init_from:
        return None
    return open_checkpoint(checkpoints_of(Path(stage.training.init_from), name))


def starting_weights(
    name: str, experiment: Experiment, model: Any, tokenizer: Tokenizer | None
) -> Params:
    """The averaged weights of `training.init_from`, as this model's; {}: it begins from nothing.

    A model that inpaints may begin from one that doesn't (`with_inpainting`).

    Args:
        name: of the stage, here and there.
        experiment: the one that begins.
        model: the stage's.
        tokenizer: the run's; None: it has none.

    Returns:
        Arrays of the host, one for every weight of the model.

    Raises:
        UserError: there is no checkpoint, or its weights mean something else.
    """
    checkpoint = starting_checkpoint(name, experiment.stages[name])
    if checkpoint is None:
        return {}
    theirs, ours = (_alone(e, name) for e in (checkpoint.experiment, experiment))
    learns = not _inpaints(theirs) and _inpaints(ours)
    may_change = (*MAY_CHANGE_BEFORE, "model.inpaint") if learns else MAY_CHANGE_BEFORE
    if found := conflicts(theirs, ours, may_change):
        raise UserError(
            f"training.init_from: {checkpoint.path} is of another model (theirs → yours: "
            f"{a_few(found, '; ')}); set these keys to its values"
        )
    if checkpoint.tokenizer != (tokenizer.to_dict() if tokenizer else {}):
        raise UserError(
            f"training.init_from: {checkpoint.path} has another tokenizer than this run; begin "
            "all stages from the same workdir, and in a new --workdir"
        )
    print(f"{name}: starting from the weights of {checkpoint.path}")
    shapes = checkpoint.shapes("ema_params")
    restored = checkpoint.restore({"ema_params": shapes})["ema_params"]
    params = with_inpainting(restored) if learns else restored
    if {path: x.shape for path, x in params.items()} != {
        path: x.shape for path, x in model.shapes.items()
    }:
        raise UserError(
            f"training.init_from: {checkpoint.path} does not hold this model's weights; "
            "use the version of glide_jax that wrote it"
        )
    # Not on the first device, which may be too small for what the mesh shares out.
    on_host: Any = {path: np.asarray(x) for path, x in params.items()}
    return on_host


def _alone(experiment: Experiment, name: str) -> Experiment:
    """The experiment of this stage and no other."""
    stage = experiment.stages[name]
    parts = {field.name: getattr(stage, field.name) for field in dataclasses.fields(stage)}
    return dataclasses.replace(experiment, upsampler=None, text_pretraining=None, **parts)


def _inpaints(experiment: Experiment) -> bool:
    return isinstance(experiment.model, GlideConfig) and experiment.model.inpaint
