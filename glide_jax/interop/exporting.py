"""What was trained here → files that the public PyTorch code loads.

DIR/base/checkpoints/STEP ─ restore ─→ params ─ openai.to_state_dict ─→ FILE
                      └── experiment ─→ the reference's options ──────→ FILE.options.json
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from glide_jax.config import BASE, Experiment, StageConfig
from glide_jax.errors import UserError, unknown_name
from glide_jax.interop import families, files, openai
from glide_jax.interop.reference import reference_options
from glide_jax.interop.sidecar import Sidecar, sidecar_path, to_json
from glide_jax.models.clip import Clip, split_params
from glide_jax.models.families import model_of
from glide_jax.training.checkpoints import open_checkpoint


@dataclasses.dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes:
        files: what was written; the options of each lie beside it.
        weights: `params`, as the last step left them, or `ema_params`, their moving average.
        step: of the checkpoint.
        unlike: what the reference has no option for, a line each.
    """

    files: tuple[Path, ...]
    weights: str
    step: int
    unlike: tuple[str, ...]


def export_checkpoint(
    workdir: Path, out: Path, *, stage_name: str = BASE, ema: bool = False, dtype: str = "float32"
) -> Exported:
    """Write a stage's newest weights under the reference's names, and its options beside them.

    Args:
        workdir: of training or `import_checkpoint`.
        out: a `.pt` or `.safetensors` file. CLIP becomes two: `clip.pt` is split into
            `clip-image.pt` and `clip-text.pt`. None of them may be there yet.
        stage_name: of a stage of the experiment.
        ema: the moving average of the weights, which sampling uses, rather than the weights
            themselves. A checkpoint that was imported has nothing else.
        dtype: a name of `files.DTYPES`.

    Raises:
        UserError: there is no such checkpoint, a file is there already or can't be written, or a
            weight is too large for the dtype; nothing new is left then.
    """
    files.format_of(out)
    checkpoint = open_checkpoint(workdir / stage_name / "checkpoints")
    experiment = _alone(checkpoint.experiment, stage_name)
    weights = "ema_params" if ema or not checkpoint.is_of_a_run else "params"
    vocab_size = _vocab_size(checkpoint.shapes(weights))
    (stage,) = experiment.stages.values()
    model = model_of(stage, vocab_size=vocab_size, text_length=experiment.text.length)
    is_clip = isinstance(model, Clip)
    targets = [_named(out, part) for part in ("-image", "-text")] if is_clip else [out]
    _refuse_existing(targets)
    restored = checkpoint.restore({weights: model.shapes})[weights]
    params = {path: np.asarray(array) for path, array in restored.items()}
    models = (model.image, model.text) if is_clip else (model,)
    each = split_params(params) if is_clip else (params,)
    lines: tuple[str, ...] = ()
    with files.folder_beside(out) as folder:
        for target, one, its_params in zip(targets, models, each, strict=True):
            options, lines = reference_options(one, stage)
            name, tokenizer = families.of_model(one).NAME, checkpoint.tokenizer
            beside = Sidecar(name, options, lines, experiment, tokenizer, vocab_size)
            file = folder / target.name
            sidecar_path(file).write_text(to_json(beside), encoding="utf-8")
            files.write(file, openai.to_state_dict(one, its_params), dtype)
        for file in folder.iterdir():
            file.rename(out.with_name(file.name))
    return Exported(tuple(targets), weights, checkpoint.step, lines)


def _alone(experiment: Experiment, name: str) -> Experiment:
    """The experiment of one stage."""
    if name not in experiment.stages:
        raise unknown_name("stage", name, experiment.stages)
    stage: StageConfig = experiment.stages[name]
    fields = {field.name: getattr(stage, field.name) for field in dataclasses.fields(stage)}
    return dataclasses.replace(experiment, **fields, upsampler=None)


def _vocab_size(shapes: dict[str, Any]) -> int:
    embedding = shapes.get("text.token_embedding")
    return embedding.shape[0] if embedding else 0


def _named(out: Path, part: str) -> Path:
    return out.with_name(f"{out.stem}{part}{out.suffix}")


def _refuse_existing(targets: list[Path]) -> None:
    for path in [*targets, *map(sidecar_path, targets)]:
        if path.exists():
            raise UserError(f"{path} is there already: choose another --out, or move it away")
