"""Stages: models with their weights, checked to make a cascade; their conditions."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Protocol

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from glide_jax.config import (
    DenoiserStageConfig,
    SamplingConfig,
)
from glide_jax.errors import UserError
from glide_jax.models.labels import class_labels
from glide_jax.models.model import Model
from glide_jax.sampling.program import ProgramCache, make_steps, program_cache
from glide_jax.sampling.request import Subject
from glide_jax.text.reader import CaptionReader
from glide_jax.types import Condition, Params


@dataclasses.dataclass(frozen=True)
class Stage:
    """A model with its weights, ready to sample.

    Attributes:
        name: of the stage.
        config: its section of the experiment.
        model: as config describes it.
        params: its weights; images are split over the mesh that they are on.
        reader: of its captions; None: it reads none.
        step: the training step of the weights.
        program: static arguments → the compiled program.
    """

    name: str
    config: DenoiserStageConfig
    model: Model
    params: Params
    reader: CaptionReader | None
    step: int
    program: ProgramCache

    @property
    def image_size(self) -> int:
        """Pixels a side of what it generates."""
        return self.model.config.image_size

    @property
    def low_res_size(self) -> int:
        """Pixels a side of what it enlarges; 0: it is a base model."""
        return self.model.config.low_res_size

    @property
    def inpaints(self) -> bool:
        """Whether it was trained to inpaint."""
        return getattr(self.model.config, "inpaint", False)

    @property
    def guidance_range(self) -> tuple[float, ...]:
        """The guidance scales that its one evaluation knows; (): guidance takes two."""
        return getattr(self.model.config, "guidance_range", ())

    @property
    def inpaint_sampling(self) -> SamplingConfig:
        """How it is sampled to inpaint."""
        sampling = self.config.sampling
        return dataclasses.replace(sampling, sampler=sampling.inpaint_sampler)

    @property
    def mesh(self) -> Mesh | None:
        """The devices that the weights are on; None: one that nobody chose."""
        sharding = getattr(next(iter(self.params.values()), None), "sharding", None)
        mesh = sharding.mesh if isinstance(sharding, NamedSharding) else None
        return mesh if isinstance(mesh, Mesh) else None

    @property
    def num_devices(self) -> int:
        """How many devices share each batch."""
        return 1 if self.mesh is None else self.mesh.size


def make_stage(
    name: str,
    config: DenoiserStageConfig,
    model: Model,
    params: Params,
    reader: CaptionReader | None,
    step: int,
) -> Stage:
    """A stage ready to sample. Raises UserError where its sampling config makes no sense."""
    make_steps(config.diffusion, config.sampling.sampler, config.sampling.steps)
    program = program_cache(model, config.diffusion)
    return Stage(name, config, model, params, reader, step, program)


class _Sized(Protocol):
    """A stage, or one whose weights are not loaded."""

    @property
    def image_size(self) -> int: ...

    @property
    def low_res_size(self) -> int: ...


def check_cascade(stages: Sequence[_Sized]) -> None:
    """Raises UserError unless each stage enlarges what the one before generates."""
    for before, stage in itertools.pairwise(stages):
        if stage.low_res_size != before.image_size:
            low = stage.low_res_size
            what = f"enlarges {low} pixels a side" if low else "is a base model"
            raise UserError(
                f"the models make no cascade: after one that generates {before.image_size} pixels "
                f"a side comes one that {what}"
            )


def check_prompts(stages: Sequence[Stage], prompts: Sequence[str]) -> None:
    """Raises UserError unless the first stage samples prompts, or all are empty."""
    first = stages[0]
    if first.low_res_size:
        raise UserError(
            "the first model is an upsampler: it needs an image to enlarge, "
            f"{first.low_res_size} pixels a side, and a prompt gives none; "
            "put a base model before it"
        )
    if first.reader is None and any(prompts):
        family = first.model.config.family
        raise UserError(f"a model of family {family!r} reads no captions: it samples no prompts")


def check_labels(
    stage: Stage, labels: Sequence[int | None], classifier_scale: float | None
) -> None:
    """Raises UserError unless the first stage, or a classifier that guides it, knows classes."""
    knows = getattr(stage.model.config, "num_classes", 0) or classifier_scale is not None
    if not knows and any(label is not None for label in labels):
        raise UserError(
            "this model is not class-conditional: leave the class out, or give a classifier that "
            "guides it, and classifier_scale"
        )


def truncated_prompts(stage: Stage, prompts: Sequence[str]) -> list[str]:
    """Those of the prompts that are longer than the stage reads."""
    if stage.reader is None or not prompts:
        return []
    cut = stage.reader.read(prompts).cut
    return [prompt for prompt, is_cut in zip(prompts, cut, strict=True) if is_cut]


def check_guidance(
    stage: Stage, sampling: SamplingConfig, scales: Sequence[float], subjects: Sequence[Subject]
) -> None:
    """Check what is asked of a model that is conditioned on the guidance scale.

    Args:
        stage: of any kind; of a model that isn't, everything may be asked.
        sampling: its settings.
        scales: the guidance scale of each image.
        subjects: of the images.

    Raises:
        UserError: it was not distilled for a scale, or for guidance of this kind.
    """
    if not stage.guidance_range:
        return
    low, high = stage.guidance_range
    distilled = f"{stage.name} is distilled: guidance is in its weights"
    for scale in scales:
        if not low <= scale <= high:
            raise UserError(
                f"{distilled}, for scales from {low:g} to {high:g}; guidance_scale={scale:g} needs "
                "its teacher"
            )
    if any(subject.negative_prompt for subject in subjects):
        raise UserError(f"{distilled}, away from nothing in particular: leave negative_prompt out")
    if not sampling.is_guided_everywhere:
        raise UserError(f"{distilled}, at every noise level: leave guidance_interval at (0, 1)")


def check_caching(stage: Stage, sampling: SamplingConfig) -> None:
    """Raises UserError where deep features are to be kept of a model that has none."""
    if sampling.cache_interval > 1 and stage.model.caching is None:
        raise UserError(
            f"{stage.name}'s model, of family {stage.model.config.family!r}, has no deep part that "
            "could be left out at some steps: leave cache_interval at 1"
        )


def condition_of(
    stage: Stage,
    subjects: Sequence[Subject],
    low_res: np.ndarray | None,
    scales: Sequence[float],
) -> Condition:
    """The condition of these images.

    Args:
        stage: of any family.
        subjects: b of them.
        low_res: uint8[b h w 3], for an upsampler.
        scales: b guidance scales; only a model that is conditioned on them reads them.

    Raises:
        UserError: the model needs a class, and there is none, or none of that number.
    """
    condition = Condition()
    if stage.reader is not None:
        condition = _captions(stage, [subject.prompt for subject in subjects])
    labels = [subject.label for subject in subjects]
    num_classes = getattr(stage.model.config, "num_classes", 0)
    if num_classes:
        if None in labels:
            raise UserError(f"this model samples classes, not prompts: give 0 … {num_classes - 1}")
        condition = dataclasses.replace(condition, label=class_labels(labels, num_classes))
    if low_res is not None:
        pixels = jnp.asarray(low_res, jnp.float32) / 127.5 - 1
        condition = dataclasses.replace(condition, low_res=pixels)
    if stage.guidance_range:
        condition = dataclasses.replace(condition, guidance_scale=jnp.float32(list(scales)))
    return condition


def null_condition_of(stage: Stage, subjects: Sequence[Subject]) -> Condition:
    """What guidance leads away from: one row where it is the same for all, else one per image.

    Raises:
        UserError: the stage reads no captions, so that there is none.
    """
    if stage.reader is None:
        raise UserError(
            f"a model of family {stage.model.config.family!r} reads no captions: guidance_scale "
            "must be 1; a classifier can guide it, by classifier_scale"
        )
    captions = [subject.negative_prompt for subject in subjects]
    return _captions(stage, captions[:1] if len(set(captions)) == 1 else captions)


def _captions(stage: Stage, captions: Sequence[str]) -> Condition:
    assert stage.reader is not None
    arrays = stage.reader.read(captions).arrays
    return Condition(**{name: jnp.asarray(array) for name, array in arrays.items()})
