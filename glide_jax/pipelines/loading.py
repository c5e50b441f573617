"""Workdirs, of training or of import → stages and guides, ready to draw."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from glide_jax import config, text
from glide_jax.config import (
    BASE,
    MAY_CHANGE_BEFORE,
    ClassifierConfig,
    ClipConfig,
    DenoiserConfig,
    Experiment,
    conflicts,
)
from glide_jax.errors import UserError, a_few
from glide_jax.models.families import model_of
from glide_jax.parallel.mesh import divide_cpu, make_mesh, replicated
from glide_jax.pipelines.guides import ClipGuide, Guide, classifier_guide, clip_guide
from glide_jax.pipelines.stage import Stage, make_stage
from glide_jax.text import Tokenizer
from glide_jax.training.checkpoints import Checkpoint, checkpoints_of, open_checkpoint
from glide_jax.types import Params


def load_stages(workdir: Path, overrides: Sequence[str] = ()) -> tuple[Experiment, list[Stage]]:
    """A workdir's newest averaged weights, on every device, ready to draw.

    Where JAX has not started, the CPU is divided as it was for training.

    Args:
        workdir: where training ran, or what was imported.
        overrides: `KEY=VALUE`, such as `sampling.guidance_scale=5`.

    Raises:
        UserError: there is no model, or none that draws, or an override is wrong.
    """
    trained = _open(workdir, BASE).experiment
    experiment = config.with_overrides(trained, overrides)
    if changed := conflicts(trained, experiment, MAY_CHANGE_BEFORE):
        raise UserError(
            f"{workdir} was trained otherwise (trained → yours: {a_few(changed, '; ')}); weights "
            "mean nothing else than they were trained for: leave that change out"
        )
    divide_cpu(experiment.cpu_devices)
    stages = []
    for name, stage in experiment.stages.items():
        if not isinstance(stage.model, DenoiserConfig):
            raise UserError(
                f"{workdir} holds a model of family {stage.model.family!r}, which draws no "
                "pictures: it can guide those that do, see docs/sampling.md"
            )
        checkpoint = _open(workdir, name)
        model, params, tokenizer = _read(checkpoint, experiment, name)
        length = experiment.text.length
        stages.append(make_stage(stage, model, params, tokenizer, length, checkpoint.step))
    return experiment, stages


def load_clip(workdir: Path) -> ClipGuide:
    """The noised CLIP of a workdir. Raises UserError where there is none."""
    checkpoint = _open(workdir, BASE)
    experiment = checkpoint.experiment
    if not isinstance(experiment.model, ClipConfig):
        raise UserError(f"{workdir} holds a model of family {experiment.model.family!r}, no CLIP")
    model, params, tokenizer = _read(checkpoint, experiment, BASE)
    if tokenizer is None:
        raise UserError(f"{workdir} holds a CLIP without its tokenizer: import it again")
    return clip_guide(model, params, tokenizer, experiment.text.length)


def load_classifier(workdir: Path) -> Guide:
    """The classifier of a workdir. Raises UserError where there is none."""
    checkpoint = _open(workdir, BASE)
    experiment = checkpoint.experiment
    if not isinstance(experiment.model, ClassifierConfig):
        family = experiment.model.family
        raise UserError(f"{workdir} holds a model of family {family!r}, no classifier")
    model, params, _ = _read(checkpoint, experiment, BASE)
    return classifier_guide(model, params, experiment.diffusion.num_steps)


def _open(workdir: Path, stage: str) -> Checkpoint:
    return open_checkpoint(checkpoints_of(workdir, stage))


def _read(
    checkpoint: Checkpoint, experiment: Experiment, name: str
) -> tuple[Any, Params, Tokenizer | None]:
    """A stage's model, weights and tokenizer; None: it is told no captions."""
    told = checkpoint.tokenizer
    tokenizer = text.from_dict(told) if told else None
    vocab_size = tokenizer.vocab_size if tokenizer else 0
    length = experiment.text.length
    model = model_of(experiment.stages[name], vocab_size=vocab_size, text_length=length)
    return model, _params(checkpoint, model.shapes), tokenizer


def _params(checkpoint: Checkpoint, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> Params:
    everywhere = replicated(make_mesh(fsdp=1))
    wanted = {
        path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere)
        for path, leaf in shapes.items()
    }
    return checkpoint.restore({"ema_params": wanted})["ema_params"]
