"""Initial weights: a stage that starts from the checkpoint of another workdir."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glide_jax.checkpoints import Checkpoint, initial_checkpoint
from glide_jax.config import MAY_CHANGE_BEFORE, Experiment, GlideConfig, conflicts
from glide_jax.errors import UserError, a_few, unknown_name
from glide_jax.models.glide import with_inpainting
from glide_jax.models.lora import adapted_paths
from glide_jax.models.model import Model
from glide_jax.progress import say
from glide_jax.text.reader import CaptionReader
from glide_jax.training.rounds import Round
from glide_jax.types import Params


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
    learns_to_inpaint = not _inpaints(checkpoint, name) and _model_inpaints(experiment, name)
    may_change = ("stages.*.model.inpaint",) if learns_to_inpaint else ()
    _check_fits(checkpoint, name, experiment, reader, may_change)
    say(f"{name}: starting from the weights of {checkpoint.path}")
    shapes = checkpoint.shapes("ema_params")
    restored = checkpoint.restore({"ema_params": shapes})["ema_params"]
    params = with_inpainting(restored) if learns_to_inpaint else restored
    _check_shapes(checkpoint, params, model)
    # Not left on the first device: it may be too small for what the mesh shares out.
    on_host: Any = {path: np.asarray(x) for path, x in params.items()}
    return on_host


def adapter_base(
    name: str, experiment: Experiment, model: Any, reader: CaptionReader | None
) -> Checkpoint:
    """The checkpoint whose EMA weights a stage's adapter changes: that of `training.init_from`.

    Args:
        name, experiment, model, reader: see `initial_params`; the stage has a `training.adapter`.

    Raises:
        UserError: as `initial_params`.
    """
    checkpoint = initial_checkpoint(name, experiment.stages[name])
    assert checkpoint is not None, "the config is checked"
    _check_fits(checkpoint, name, experiment, reader, ())
    _check_shapes(checkpoint, checkpoint.shapes("ema_params"), model)
    say(f"{name}: an adapter of the weights of {checkpoint.path}")
    return checkpoint


def initial_teacher(
    name: str, experiment: Experiment, taught: Round, model: Model, reader: CaptionReader | None
) -> Checkpoint:
    """The checkpoint whose EMA weights teach a round of distillation: that of its `init_from`.

    Args:
        name, experiment, reader: see `initial_params`.
        taught: the round.
        model: the teacher's.

    Raises:
        UserError: as `initial_params`.
    """
    checkpoint = initial_checkpoint(name, taught.stage)
    assert checkpoint is not None, "the config is checked"
    stages = experiment.stages | {name: taught.teacher}
    _check_fits(checkpoint, name, dataclasses.replace(experiment, stages=stages), reader, ())
    _check_shapes(checkpoint, checkpoint.shapes("ema_params"), model)
    return checkpoint


def student_params(teacher: Checkpoint, model: Model) -> Params:
    """A teacher's EMA weights as a student starts from them.

    Its embedding of the guidance scale is new. The output layer of a teacher that learns the
    variance is cut to the image's channels.

    Args:
        teacher: of `initial_teacher`.
        model: the student's.

    Returns:
        Arrays in host memory, for those weights of the student that the teacher has.
    """
    restored = teacher.restore({"ema_params": teacher.shapes("ema_params")})["ema_params"]
    shapes = {path: model.shapes[path].shape for path in restored if path in model.shapes}
    on_host: Any = {path: np.asarray(restored[path])[..., : s[-1]] for path, s in shapes.items()}
    return on_host


def _check_fits(
    checkpoint: Checkpoint,
    name: str,
    experiment: Experiment,
    reader: CaptionReader | None,
    may_change: Sequence[str],
) -> None:
    """Raises UserError unless a checkpoint's model, tokenizer and text encoder are the run's."""
    there = checkpoint.experiment
    if name not in there.stages:
        raise unknown_name("stage", name, there.stages)
    theirs, ours = there.only(name), experiment.only(name)
    if found := conflicts(theirs, ours, (*MAY_CHANGE_BEFORE, *may_change)):
        raise UserError(
            f"training.init_from: {checkpoint.path} holds a different model (theirs → yours: "
            f"{a_few(found, '; ')}); set these keys to its values"
        )
    if checkpoint.tokenizer != (reader.to_dict() if reader else {}):
        raise UserError(
            f"training.init_from: {checkpoint.path} has a different tokenizer, or text encoder, "
            "than this run; start all stages from the same workdir, and in a new --workdir"
        )
    if adapted_paths(checkpoint.shapes("ema_params")):
        raise UserError(
            f"training.init_from: {checkpoint.path} holds an adapter, not a model's weights: give "
            "the workdir of its base"
        )


def _check_shapes(checkpoint: Checkpoint, weights: Mapping[str, Any], model: Any) -> None:
    if {path: x.shape for path, x in weights.items()} != {
        path: x.shape for path, x in model.shapes.items()
    }:
        raise UserError(
            f"training.init_from: {checkpoint.path} does not hold this model's weights; "
            "use the version of glide_jax that wrote it"
        )


def _inpaints(checkpoint: Checkpoint, name: str) -> bool:
    there = checkpoint.experiment
    return name in there.stages and _model_inpaints(there, name)


def _model_inpaints(experiment: Experiment, name: str) -> bool:
    return isinstance(model := experiment.stages[name].model, GlideConfig) and model.inpaint
