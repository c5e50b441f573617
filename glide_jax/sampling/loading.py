"""Workdirs → stages; what can be refused is, and prompts are encoded, before a weight is read.

workdirs ─ open ─ encode prompts, free the encoder ─ enough memory? ─ read weights ─→ stages
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from glide_jax import config, text
from glide_jax.checkpoints import Checkpoint, initial_checkpoint, open_stage, read_experiment
from glide_jax.checkpoints.adapters import (
    AdapterFile,
    adapter_in,
    check_stages,
    read_adapter,
    with_adapters,
)
from glide_jax.config import (
    MAY_CHANGE_BEFORE,
    ClassifierConfig,
    ClipConfig,
    DenoiserStageConfig,
    Experiment,
    FrozenTextConfig,
    conflicts,
)
from glide_jax.diffusion.timesteps import FIRST
from glide_jax.encoders import lazy
from glide_jax.errors import UserError, a_few
from glide_jax.models.families import model_of
from glide_jax.models.lora import adapted_paths
from glide_jax.parallel.collectives import gathered
from glide_jax.parallel.free_memory import missing_memory, require_memory
from glide_jax.parallel.mesh import make_mesh, weight_sharding
from glide_jax.sampling.guides import ClipGuide, Guide, classifier_guide, clip_guide
from glide_jax.sampling.stages import Stage, check_cascade, make_stage
from glide_jax.text.reader import CaptionReader, EmbeddingReader, TokenReader
from glide_jax.types import Params


@dataclasses.dataclass(frozen=True)
class OpenedStage:
    """A stage whose weights are not read yet.

    Attributes:
        config: its section of the experiment.
        checkpoint: that holds its weights.
        model: as config describes it.
        reader: of its captions; None: it reads none.
        base: holds the weights that the checkpoint's adapter changes; None: the checkpoint holds
            the model's weights.
    """

    config: DenoiserStageConfig
    checkpoint: Checkpoint
    model: Any
    reader: CaptionReader | None
    base: Checkpoint | None = None

    @property
    def weights(self) -> Checkpoint:
        """What holds the model's weights, an adapter's left aside."""
        return self.base or self.checkpoint

    @property
    def image_size(self) -> int:
        """Pixels a side of what it generates."""
        return self.model.config.image_size

    @property
    def low_res_size(self) -> int:
        """Pixels a side of what it enlarges; 0: it is a base model."""
        return self.model.config.low_res_size


def load_stages(
    workdir: Path, overrides: Sequence[str] = (), text_encoder: Path | None = None
) -> tuple[Experiment, list[Stage]]:
    """The newest averaged weights of a workdir's stages, on every device, ready to sample.

    Args:
        workdir: of training or of import.
        overrides: `KEY=VALUE`, such as `stages.base.sampling.guidance_scale=5`.
        text_encoder: a folder of text embeddings, or of a frozen encoder's weights; None: as the
            config says.

    Raises:
        UserError: there is no model, or none that generates images, an override is wrong, the text
            encoder is not the one that it was trained on, or there is too little memory.
    """
    experiment, opened = open_stages(workdir, overrides, text_encoder)
    return experiment, load_opened(opened)


def load_cascade(
    workdirs: Sequence[Path],
    overrides: Sequence[str],
    text_encoder: Path | None,
    prompts: Sequence[str],
) -> list[Stage]:
    """The stages of several workdirs, which follow each other.

    Args:
        workdirs, overrides, text_encoder: as for `load_stages`, of each.
        prompts: are encoded before any weights of the stages are read; the memory of a frozen text
            encoder is free again then.

    Raises:
        UserError: as `load_stages`, or they make no cascade.
    """
    opened = [
        stage for workdir in workdirs for stage in open_stages(workdir, overrides, text_encoder)[1]
    ]
    check_cascade(opened)
    return load_opened(opened, prompts)


def open_stages(
    workdir: Path, overrides: Sequence[str], text_encoder: Path | None
) -> tuple[Experiment, list[OpenedStage]]:
    """As `load_stages`, but no weights are read yet."""
    trained = read_experiment(workdir)
    experiment = config.with_overrides(trained, overrides)
    if changed := conflicts(trained, experiment, MAY_CHANGE_BEFORE):
        raise UserError(
            f"{workdir} was trained with other values (trained → yours: {a_few(changed, '; ')}); "
            "its weights mean nothing else: leave that change out"
        )
    stages, encoder = [], _encoder_of(experiment, workdir, text_encoder)
    for name, stage in experiment.stages.items():
        if not isinstance(stage, DenoiserStageConfig):
            raise UserError(
                f"{workdir} holds a model of family {stage.model.family!r}, which generates no "
                "images: it can guide models that do, see docs/sampling.md"
            )
        checkpoint = open_stage(workdir, name)
        model, reader = _open(checkpoint, experiment, encoder)
        stages.append(OpenedStage(stage, checkpoint, model, reader, _base_of(checkpoint, stage)))
    return experiment, stages


def _base_of(checkpoint: Checkpoint, stage: DenoiserStageConfig) -> Checkpoint | None:
    """The checkpoint whose weights this one's adapter changes; None: it holds no adapter."""
    if not adapted_paths(checkpoint.shapes("ema_params")):
        return None
    return initial_checkpoint(checkpoint.stage, stage)


def load_opened(opened: Sequence[OpenedStage], prompts: Sequence[str] = ()) -> list[Stage]:
    """Read the weights of stages.

    Args:
        opened: of one or more workdirs.
        prompts: see `load_cascade`.

    Raises:
        UserError: see `load_cascade`.
    """
    for stage in opened:
        if prompts and isinstance(reader := stage.reader, EmbeddingReader):
            assert isinstance(reader.encoder, lazy.PromptEncoder)
            # The null caption, too, which classifier-free guidance leads away from.
            reader.encoder.encode_first(["", *prompts], reader.length)
    wanted = _placed(opened)
    return [
        make_stage(
            stage.checkpoint.stage,
            stage.config,
            stage.model,
            _with_own_adapter(stage, stage.weights.weights("ema_params", shapes)),
            stage.reader,
            stage.checkpoint.step,
        )
        for stage, shapes in zip(opened, wanted, strict=True)
    ]


def _placed(opened: Sequence[OpenedStage]) -> list[dict[str, jax.ShapeDtypeStruct]]:
    """Each stage's weights as they are to lie on the devices.

    Every device has all of them. Where they don't fit, they are split over as few devices as they
    fit: those that share a copy send each other its parts at every step.

    Raises:
        UserError: there is too little memory, in this process or another of the run.
    """
    devices = jax.device_count()

    def over(fsdp: int) -> list[dict[str, jax.ShapeDtypeStruct]]:
        mesh = make_mesh(fsdp)
        return [_stored(stage.weights, stage.model, mesh) for stage in opened]

    choices = [n for n in range(1, devices + 1) if devices % n == 0]
    fits = next((n for n in choices if missing_memory(_leaves(over(n))) is None), 0)
    in_all = gathered(np.array([fits]))
    if not fits:
        require_memory(
            _leaves(over(devices)),
            "the models' weights take",
            "import them in bfloat16, or sample on more devices or on one with more memory",
        )
    if not in_all.all():
        raise UserError("another process of the run has too little memory for the models' weights")
    return over(int(in_all.max()))


def _leaves(wanted: Sequence[dict[str, jax.ShapeDtypeStruct]]) -> list[jax.ShapeDtypeStruct]:
    return [leaf for shapes in wanted for leaf in shapes.values()]


def _with_own_adapter(stage: OpenedStage, params: Params) -> Params:
    """A stage's weights with the adapter that its checkpoint holds in their place."""
    adapter = adapter_in(stage.checkpoint)
    if adapter is None:
        return params
    return with_adapters(params, [(adapter, 1.0)], str(stage.weights.path))


def add_adapters(
    stages: Sequence[Stage], files: Sequence[AdapterFile], checkpoints: Sequence[str]
) -> tuple[Stage, ...]:
    """The stages with adapters added to their weights; what they have compiled is kept.

    Args:
        stages: with the weights that the adapters were trained on.
        files: of adapters of any of the stages, each with its weight.
        checkpoints: where the stages are from, for errors.

    Raises:
        UserError: a file is no adapter, or of a stage or weights that are not here.
    """
    given = [(read_adapter(path), weight) for path, weight in files]
    check_stages([adapter for adapter, _ in given], [stage.name for stage in stages])
    shown = ", ".join(checkpoints) or "these models"
    of_stages = [[pair for pair in given if pair[0].stage == stage.name] for stage in stages]
    return tuple(
        dataclasses.replace(stage, params=with_adapters(stage.params, added, shown))
        for stage, added in zip(stages, of_stages, strict=True)
    )


def load_clip(workdir: Path, mesh: Mesh | None = None) -> ClipGuide:
    """The noised CLIP of a workdir.

    Args:
        workdir: of training or of import.
        mesh: its weights are split over; None: every device of the run gets a copy.

    Raises:
        UserError: there is none.
    """
    checkpoint = open_stage(workdir)
    experiment = checkpoint.experiment
    family = experiment.first_stage.model
    if not isinstance(family, ClipConfig):
        raise UserError(f"{workdir} holds a model of family {family.family!r}, not a CLIP")
    model, reader = _open(checkpoint, experiment, None)
    if reader is None:
        raise UserError(f"{workdir} holds a CLIP without its tokenizer: import it again")
    is_noised = experiment.first_stage.diffusion.timesteps != FIRST
    return clip_guide(model, _params(checkpoint, model, mesh), reader, is_noised=is_noised)


def load_classifier(workdir: Path, mesh: Mesh | None = None) -> Guide:
    """The classifier of a workdir.

    Args:
        workdir, mesh: see `load_clip`.

    Raises:
        UserError: there is none.
    """
    checkpoint = open_stage(workdir)
    experiment = checkpoint.experiment
    stage = experiment.first_stage
    if not isinstance(stage.model, ClassifierConfig):
        family = stage.model.family
        raise UserError(f"{workdir} holds a model of family {family!r}, not a classifier")
    model, _ = _open(checkpoint, experiment, None)
    is_noised = stage.diffusion.timesteps != FIRST
    params, num_steps = _params(checkpoint, model, mesh), stage.diffusion.num_steps
    return classifier_guide(model, params, num_steps, is_noised=is_noised)


def _encoder_of(
    experiment: Experiment, workdir: Path, text_encoder: Path | None
) -> lazy.PromptEncoder | None:
    """The frozen text encoder of a workdir's models; None: they have none."""
    if isinstance(experiment.text, FrozenTextConfig):
        return lazy.sampling_encoder(experiment.text, workdir, text_encoder)
    if text_encoder is not None:
        raise UserError(
            f"{workdir} holds a model that has no frozen text encoder: leave {text_encoder} out"
        )
    return None


def _open(
    checkpoint: Checkpoint, experiment: Experiment, encoder: lazy.PromptEncoder | None
) -> tuple[Any, CaptionReader | None]:
    """A stage's model, and what reads its captions; None: it reads none."""
    saved, stage, reader = checkpoint.tokenizer, experiment.stages[checkpoint.stage], None
    if isinstance(experiment.text, FrozenTextConfig) and encoder is not None:
        width = getattr(stage.model, "encoder_width", 0)
        expected = lazy.Expected(saved, width, checkpoint.path)
        own = dataclasses.replace(encoder, expected=expected)
        reader = EmbeddingReader(own, experiment.text.length, experiment.text.padding)
    elif saved or stage.model.reads_captions:
        reader = TokenReader(text.from_dict(saved), experiment.text_length)
    vocab_size = reader.vocab_size if reader else 0
    return model_of(stage, vocab_size=vocab_size, text_length=experiment.text_length), reader


def _params(checkpoint: Checkpoint, model: Any, mesh: Mesh | None) -> Params:
    return checkpoint.weights("ema_params", _stored(checkpoint, model, mesh or make_mesh(1)))


def _stored(checkpoint: Checkpoint, model: Any, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """Each weight of a model as the checkpoint has it, to be split over a mesh."""
    there = checkpoint.shapes("ema_params")
    shardings = weight_sharding(mesh, model.shapes)
    return {
        path: jax.ShapeDtypeStruct(
            leaf.shape, there[path].dtype if path in there else leaf.dtype, sharding=shardings[path]
        )
        for path, leaf in model.shapes.items()
    }
