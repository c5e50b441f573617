"""What a workdir or a file of weights is, in lines for people; no weight is read."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glide_jax import config
from glide_jax.errors import UserError
from glide_jax.interop import families, files
from glide_jax.interop.sidecar import read_sidecar
from glide_jax.training.checkpoints import Checkpoint, find_checkpoint, open_checkpoint

_SIZES = {
    "glide": (
        ("channels", "input_blocks.0.0.weight", 0),
        ("input channels", "input_blocks.0.0.weight", 1),
        ("text width", "positional_embedding", 1),
        ("text length", "positional_embedding", 0),
        ("vocabulary", "token_embedding.weight", 0),
    ),
    "adm": (
        ("channels", "input_blocks.0.0.weight", 0),
        ("input channels", "input_blocks.0.0.weight", 1),
        ("classes", "label_emb.weight", 0),
    ),
    "classifier": (
        ("channels", "input_blocks.0.0.weight", 0),
        ("classes", "out.2.c_proj.weight", 0),
    ),
    "clip_image": (
        ("width", "blocks.input.w_pos", 1),
        ("patch size", "blocks.input.patch_proj", 2),
        ("timesteps", "blocks.input.w_t", 0),
    ),
    "clip_text": (
        ("width", "blocks.input.w_pos", 1),
        ("text length", "blocks.input.w_pos", 0),
        ("vocabulary", "blocks.input.w_voc", 0),
    ),
}
"""Family → (what it is, the key of an array, which of its axes tells it)."""


def describe(path: Path) -> Iterator[str]:
    """Say what lies there, line by line.

    Args:
        path: a workdir, or a `.pt` or `.safetensors` file.

    Raises:
        UserError: there is neither, or it is damaged.
    """
    if not path.exists():
        raise UserError(f"there is no {path}: give a workdir or a file of weights")
    yield from _describe_workdir(path) if path.is_dir() else _describe_file(path)


def _describe_workdir(workdir: Path) -> Iterator[str]:
    stages = {
        folder.parent.name: checkpoint
        for folder in sorted(workdir.glob("*/checkpoints"))
        if (checkpoint := find_checkpoint(folder))
    }
    first = next(iter(stages.values()), None) or open_checkpoint(workdir)
    for name, checkpoint in stages.items():
        yield from _describe_stage(name, checkpoint)
    yield "config:"
    yield from _flat(config.to_dict(first.experiment), "  ")


def _describe_stage(name: str, checkpoint: Checkpoint) -> Iterator[str]:
    stage = checkpoint.experiment.stages[name]
    shapes = checkpoint.shapes("ema_params")
    dtypes = ", ".join(sorted({str(shape.dtype) for shape in shapes.values()}))
    step = f"{checkpoint.step:,} of {stage.training.num_steps:,}"
    if not checkpoint.is_of_a_run:
        step = "0; imported, not yet trained here"
    tokenizer = checkpoint.tokenizer.get("kind", "none")
    if tokens := shapes.get("text.token_embedding"):
        length = shapes["text.positional_embedding"].shape[0]
        tokenizer += f", {tokens.shape[0]:,} ids, {length} a caption"
    yield f"{name}: {checkpoint.path}"
    yield f"  family      {stage.model.family}"
    yield f"  parameters  {sum(math.prod(s.shape) for s in shapes.values()):,}, {dtypes}"
    yield f"  step        {step}"
    yield f"  computes in {stage.model.dtype}"
    yield f"  tokenizer   {tokenizer}"


def _describe_file(path: Path) -> Iterator[str]:
    arrays = files.read(path)
    family = families.of_keys(arrays.keys()).NAME
    dtypes = Counter(str(array.dtype) for array in arrays.values())
    yield f"{path}:"
    yield f"  family      {family}, told from its keys"
    yield f"  parameters  {sum(array.size for array in arrays.values()):,} in {len(arrays)} tensors"
    yield f"  dtype       {', '.join(f'{name} ({n})' for name, n in dtypes.items())}"
    for what, key, axis in _SIZES[family]:
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
