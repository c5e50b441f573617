"""Released checkpoints, and our own exported ones, → a workdir to sample and train from.

    FILE ─ files.read ─→ arrays by key ─┬─ openai.build ─→ model ─→ Experiment ─→ DIR/base/
    options, by name or beside the file ┘                      openai.params_of ─↗

The weights become a checkpoint of step 0 that holds nothing else: training starts from them with a
fresh optimizer. Everything is written to a folder beside DIR, which is renamed at the end.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from glide_jax.checkpoints import Checkpoints
from glide_jax.config import Experiment, StageConfig
from glide_jax.errors import UserError
from glide_jax.interop.checkpoint_source import (
    CheckpointSource,
    open_exported,
    open_released,
    open_with_options,
)
from glide_jax.interop.files import folder_beside
from glide_jax.interop.showing import shown
from glide_jax.storage import is_in_bucket, remove_tree


def import_checkpoint(
    paths: Sequence[Path],
    names: Sequence[str],
    out: Path,
    options: Sequence[Path] = (),
    dtype: str = "float32",
) -> Experiment:
    """Make a workdir from the models in files.

    Args:
        paths: files of weights, of an ending in `files.ENDINGS`; two for CLIP, in any order. A base
            model and the upsamplers of its images may be imported together and become a cascade.
        names: of `released.models()`, one for each model, in the files' order; (): the files are
            our own exports, with their options beside them.
        out: the workdir; it must not exist yet.
        options: for weights in another size, a JSON file of the reference's options for each file;
            the shapes, and the released models of `names`, say what they leave out. (): none.
        dtype: what the weights are stored in, one of `config.DTYPES`. In bfloat16 the model also
            computes in it, unless its `model.dtype` is changed.

    Returns:
        The experiment that the workdir's checkpoints carry. Its stages have the names of the
        released configs (base, upsampler, clip, classifier), or those that were exported; of two
        with the same name, the later gets its image size added (`upsampler_1024`).

    Raises:
        UserError: a file is missing, damaged or another model's, the models form no cascade, or
            `out` exists already or can't be written; nothing of it is left then.
    """
    if out.exists() if is_in_bucket(out) else os.path.lexists(out):
        raise UserError(f"{out} is there already: choose another --out, or move it away")
    if options:
        models = open_with_options(paths, names, options)
    else:
        models = open_released(paths, names) if names else open_exported(paths)
    models.sort(key=lambda model: model.stage.model.image_size)
    experiment = _cascade(models)
    if dtype != "float32":
        stages = {name: _in_dtype(stage, dtype) for name, stage in experiment.stages.items()}
        experiment = dataclasses.replace(experiment, stages=stages)
    with _new_workdir(out) as workdir:
        for name, model in zip(experiment.stages, models, strict=True):
            _write(workdir / name / "checkpoints", experiment, model, dtype)
    return experiment


@contextlib.contextmanager
def _new_workdir(out: Path) -> Iterator[Path]:
    """Where to write the workdir `out`, of which nothing is left if the body fails."""
    if not is_in_bucket(out):
        with folder_beside(out) as part:
            yield part
            part.rename(out)
        return
    try:
        yield out
    except BaseException:
        with contextlib.suppress(OSError, UserError):
            remove_tree(out)
        raise


def _cascade(models: Sequence[CheckpointSource]) -> Experiment:
    """The experiment of several models, smallest images first."""
    first = models[0]
    stages: dict[str, StageConfig] = {}
    for model in models:
        if (model.experiment.text, model.tokenizer) != (first.experiment.text, first.tokenizer):
            raise UserError(
                "the models tokenize captions in different ways and form no cascade: import each "
                "into a workdir of its own"
            )
        name = model.name
        if name in stages:
            name = f"{name}_{model.stage.model.image_size}"
        if name in stages:
            raise UserError(f"two of the models are a {name!r} stage: a cascade has one of each")
        stages[name] = model.stage
    return dataclasses.replace(first.experiment, stages=stages)


def _in_dtype(stage: StageConfig, dtype: str) -> StageConfig:
    """The stage, whose model computes in a dtype."""
    model: Any = dataclasses.replace(stage.model, dtype=dtype)
    return dataclasses.replace(stage, model=model)


def _write(directory: Path, experiment: Experiment, model: CheckpointSource, dtype: str) -> None:
    with Checkpoints(
        directory, keep=1, experiment=experiment, tokenizer=model.tokenizer
    ) as checkpoints:
        # Orbax copies NumPy arrays once more, and JAX arrays not.
        cpu = jax.local_devices(backend="cpu")[0]
        each = shown(model.each_param(dtype), model.shapes, f"reading {model.name}")
        params = {path: jax.device_put(array, cpu) for path, array in each}
        checkpoints.save(0, {"ema_params": params}, {})
