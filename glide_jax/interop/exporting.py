"""A workdir's weights → files that the public PyTorch code loads.

DIR/base/checkpoints/STEP ─ one weight at a time ─ openai.each_array_of ─→ FILE
                      └── experiment ─→ the reference's options ──────→ FILE.options.json
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.sharding import SingleDeviceSharding

from glide_jax.checkpoints import Checkpoint, initial_checkpoint, open_stage
from glide_jax.checkpoints.adapters import (
    Adapter,
    AdapterFile,
    adapted,
    adapter_in,
    check_base,
    check_stages,
    read_adapter,
)
from glide_jax.checkpoints.fingerprint import fingerprint_of_each
from glide_jax.config import Experiment
from glide_jax.errors import UserError
from glide_jax.interop import families, files, namings, openai
from glide_jax.interop.reference import reference_options
from glide_jax.interop.showing import shown
from glide_jax.interop.sidecar import Sidecar, sidecar_path, to_json
from glide_jax.models.clip import LOGIT_SCALE, PARTS, Clip
from glide_jax.models.families import model_of
from glide_jax.storage import move_files


@dataclasses.dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        files: the files written; each has its options beside it.
        weights: `params`, the weights after the last step, or `ema_params`, their moving average.
        step: of the checkpoint.
        unlike: what the reference has no option for, a line each.
    """

    files: tuple[Path, ...]
    weights: str
    step: int
    unlike: tuple[str, ...]


def export_checkpoint(
    workdir: Path,
    out: Path,
    *,
    stage_name: str | None = None,
    ema: bool = False,
    dtype: str = "float32",
    names: str = namings.ORIGINAL,
    adapters: Sequence[AdapterFile] = (),
) -> Exported:
    """Write a stage's newest weights with the reference's keys, and its options beside them.

    Args:
        workdir: of training or `import_checkpoint`.
        out: a `.pt` or `.safetensors` file. CLIP becomes two: `clip.pt` is split into
            `clip-image.pt` and `clip-text.pt`. None of them may exist yet.
        stage_name: of a stage of the experiment; None: the first.
        ema: whether to write the moving average of the weights, which sampling uses, instead of
            the weights. An imported checkpoint has only the average.
        dtype: a name of `files.DTYPES`.
        names: of the arrays, a name in `namings.NAMINGS`.
        adapters: added to the average of the weights, which they were trained on; that of a
            workdir that holds one is added too.

    Raises:
        UserError: the model has no such names, there is no such checkpoint, a file exists already
            or can't be written, a weight is too large for the dtype, or an adapter is of other
            weights; nothing new is left then.
    """
    files.format_of(out)
    opened = open_stage(workdir, stage_name)
    checkpoint, added = _with_base(opened, adapters)
    experiment = opened.experiment.only(opened.stage)
    average = ema or bool(added) or not checkpoint.is_of_a_run
    weights = "ema_params" if average else "params"
    vocab_size = _vocab_size(checkpoint.shapes(weights))
    (stage,) = experiment.stages.values()
    model = model_of(stage, vocab_size=vocab_size, text_length=experiment.text_length)
    is_clip = isinstance(model, Clip)
    if names != namings.ORIGINAL:
        namings.naming_of(model, names)
    targets = [_named(out, part) for part in ("-image", "-text")] if is_clip else [out]
    _refuse_existing(targets)
    files.require_writable(out)
    if added:
        check_base(_fingerprint(checkpoint, model.shapes), [one for one, _ in added], str(workdir))

    def stored(prefix: str) -> Iterator[tuple[str, Any]]:
        """The weights whose paths begin so, without that, a few at a time."""
        for path, kernel in checkpoint.each_weight(weights, _on_host(model.shapes)):
            if path.startswith(prefix):
                yield path.removeprefix(prefix), adapted(path, kernel, added)

    models, prefixes = ((model.image, model.text), PARTS) if is_clip else ((model,), ("",))
    if is_clip:
        scale = {LOGIT_SCALE: dict(stored(LOGIT_SCALE))[""]}
        experiment = _with_scale(experiment, float(model.logit_scale(scale)))
        (stage,) = experiment.stages.values()
    lines: tuple[str, ...] = ()
    with files.folder_beside(out) as folder:
        for target, one, prefix in zip(targets, models, prefixes, strict=True):
            options, lines = reference_options(one, stage, names)
            name, tokenizer = families.of_model(one).NAME, opened.tokenizer
            beside = Sidecar(name, options, lines, experiment, tokenizer, vocab_size)
            file = folder / target.name
            sidecar_path(file).write_text(to_json(beside), encoding="utf-8")
            shapes = openai.reference_shapes(one, names)
            arrays = shown(
                openai.each_array_of(one, stored(prefix), names), shapes, f"writing {name}"
            )
            files.write_each(file, shapes, arrays, dtype, shown=target)
        move_files(folder, out.parent)
    return Exported(tuple(targets), weights, opened.step, lines)


def _with_base(
    checkpoint: Checkpoint, given: Sequence[AdapterFile]
) -> tuple[Checkpoint, list[tuple[Adapter, float]]]:
    """The checkpoint that holds a model's weights, and the adapters to add to them."""
    added = [(read_adapter(path), weight) for path, weight in given]
    check_stages([adapter for adapter, _ in added], [checkpoint.stage])
    own = adapter_in(checkpoint)
    if own is None:
        return checkpoint, added
    base = initial_checkpoint(checkpoint.stage, checkpoint.experiment.stages[checkpoint.stage])
    assert base is not None, "the config is checked"
    return base, [(own, 1.0), *added]


def _fingerprint(checkpoint: Checkpoint, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> str:
    """That of the averaged weights, read a few at a time."""
    return fingerprint_of_each(checkpoint.each_weight("ema_params", _on_host(shapes)))


def _with_scale(experiment: Experiment, logit_scale: float) -> Experiment:
    """A CLIP's, with the scale that it has learned: its two files have no place for it."""
    ((name, stage),) = experiment.stages.items()
    # Its logarithm was learned in float32: the last digits are rounding, and may be above 100.
    model: Any = dataclasses.replace(stage.model, logit_scale=float(f"{logit_scale:.6g}"))
    return dataclasses.replace(experiment, stages={name: dataclasses.replace(stage, model=model)})


def _on_host(shapes: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes, to be restored into the machine's own memory."""
    here = SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
    return {
        path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here)
        for path, leaf in shapes.items()
    }


def _vocab_size(shapes: dict[str, Any]) -> int:
    embedding = shapes.get("text.token_embedding")
    return embedding.shape[0] if embedding else 0


def _named(out: Path, part: str) -> Path:
    return out.with_name(f"{out.stem}{part}{out.suffix}")


def _refuse_existing(targets: list[Path]) -> None:
    for path in [*targets, *map(sidecar_path, targets)]:
        if path.exists():
            raise UserError(f"{path} is there already: choose another --out, or move it away")
