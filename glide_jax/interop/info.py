"""A description of a workdir or a file of weights, for `glide-jax info`; no weights are loaded."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glide_jax import config
from glide_jax.checkpoints import Checkpoint, find_checkpoint, open_checkpoint
from glide_jax.errors import UserError
from glide_jax.interop import families
from glide_jax.interop.sidecar import read_sidecar
from glide_jax.interop.weights import open_weights


def describe(path: Path) -> Iterator[str]:
    """Describe a workdir or a file of weights, line by line.

    Args:
        path: a workdir, or a file of an ending in `files.ENDINGS`.

    Raises:
        UserError: there is neither, or it is damaged.
    """
    if not path.exists():
        raise UserError(f"there is no {path}: give a workdir or a file of weights")
    yield from _describe_workdir(path) if path.is_dir() else _describe_file(path)


def _describe_workdir(workdir: Path) -> Iterator[str]:
    found = {
        folder.parent.name: newest
        for folder in sorted(workdir.glob("*/checkpoints"))
        if (newest := find_checkpoint(folder))
    }
    checkpoint = next(iter(found.values()), None) or open_checkpoint(workdir)
    experiment = checkpoint.experiment
    for name in (config.TEXT_PRETRAINING, *experiment.stages):
        if name in found:
            yield from _describe_stage(name, found[name])
    yield "config:"
    yield from _flat(config.to_dict(experiment), "  ")


def _describe_stage(name: str, checkpoint: Checkpoint) -> Iterator[str]:
    experiment = checkpoint.experiment
    pretraining = experiment.text_pretraining if name == config.TEXT_PRETRAINING else None
    stage = experiment.first_stage if pretraining else experiment.stages[name]
    training = pretraining.training if pretraining else stage.training
    shapes = checkpoint.shapes("ema_params")
    dtypes = ", ".join(sorted({str(shape.dtype) for shape in shapes.values()}))
    step = f"{checkpoint.step:,} of {training.num_steps:,}"
    if not checkpoint.is_of_a_run:
        step = "0, imported and not trained further"
    tokenizer = checkpoint.tokenizer.get("kind", "none")
    if tokens := shapes.get("text.token_embedding"):
        length = shapes["text.positional_embedding"].shape[0]
        tokenizer += f", {tokens.shape[0]:,} ids, {length} per caption"
    yield f"{name}: {checkpoint.path}"
    yield f"  family      {stage.model.family}"
    yield f"  parameters  {sum(math.prod(s.shape) for s in shapes.values()):,}, {dtypes}"
    yield f"  step        {step}"
    yield f"  dtype       {stage.model.dtype}, for computation"
    yield f"  tokenizer   {tokenizer}"


def _describe_file(path: Path) -> Iterator[str]:
    arrays = open_weights(path)
    family = families.of_keys(arrays.keys())
    dtypes = Counter(str(array.dtype) for array in arrays.values())
    yield f"{path}:"
    yield f"  family      {family.NAME}, by its keys"
    yield f"  parameters  {sum(array.size for array in arrays.values()):,} in {len(arrays)} tensors"
    yield f"  dtype       {', '.join(f'{name} ({n})' for name, n in dtypes.items())}"
    for what, key, axis in family.SIZES:
        if key in arrays:
            yield f"  {what:11} {arrays[key].shape[axis]}"
    if beside := read_sidecar(path):
        yield "options beside it:"
        yield from _flat(beside.options, "  ")
        yield from (f"  not the reference's: {line}" for line in beside.unlike)


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {value!r}"
