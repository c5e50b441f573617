"""Released checkpoints, and our own exported ones, → a workdir that draws and trains.

    FILE ─ files.read ─→ arrays by key ─┬─ openai.build ─→ model ─→ Experiment ─→ DIR/base/
    options, by name or beside the file ┘                      openai.params_of ─↗

The weights become a checkpoint of step 0 that holds nothing else: training starts from them with a
fresh optimizer. All is written beside DIR and renamed when it is whole.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import jax

from glide_jax.config import Experiment, StageConfig
from glide_jax.errors import UserError
from glide_jax.interop.files import folder_beside
from glide_jax.interop.incoming import Incoming, open_exported, open_released
from glide_jax.training.checkpoints import Checkpoints


def import_checkpoint(paths: Sequence[Path], names: Sequence[str], out: Path) -> Experiment:
    """Make a workdir of the models in files.

    Args:
        paths: `.pt` or `.safetensors` files. CLIP's are two, in any order; a base model and the
            upsampler of what it draws may come together, and become a cascade.
        names: of `released.models()`, one a model, in the files' order; (): the files are
            our own exports, with their options beside them.
        out: the workdir; it must not be there yet.

    Returns:
        The experiment that the workdir's checkpoints carry.

    Raises:
        UserError: a file is missing, damaged or another model's, the models make no cascade, or
            `out` is there already or can't be written; nothing of it is left then.
    """
    if os.path.lexists(out):
        raise UserError(f"{out} is there already: choose another --out, or move it away")
    models = open_released(paths, names) if names else open_exported(paths)
    models.sort(key=lambda model: getattr(model.experiment.model, "low_res_size", 0))
    experiment = _together(models)
    with folder_beside(out) as part:
        for name, model in zip(experiment.stages, models, strict=True):
            _write(part / name / "checkpoints", experiment, model)
        part.rename(out)
    return experiment


def _together(models: Sequence[Incoming]) -> Experiment:
    first, *rest = models
    if not rest:
        return first.experiment
    if len(rest) > 1:
        raise UserError("a workdir is one model, or a base model and an upsampler")
    second = rest[0]
    if (first.experiment.text, first.tokenizer) != (second.experiment.text, second.tokenizer):
        raise UserError("the two models read captions in different ways: they make no cascade")
    e = second.experiment
    upsampler = StageConfig(e.model, e.diffusion, e.training, e.sampling)
    return dataclasses.replace(first.experiment, upsampler=upsampler)


def _write(directory: Path, experiment: Experiment, model: Incoming) -> None:
    with Checkpoints(
        directory, keep=1, experiment=experiment, tokenizer=model.tokenizer
    ) as checkpoints:
        # NumPy's arrays Orbax would copy once more.
        cpu, params = jax.local_devices(backend="cpu")[0], model.params()
        params = {path: jax.device_put(params.pop(path), cpu) for path in [*params]}
        checkpoints.save(0, {"ema_params": params}, {})
