"""A SampleRequest: everything that is asked of a pipeline, checked, its settings resolved once.

prompts, images, settings ─ Pipeline ─→ SampleRequest ─ run.run_request ─→ images
"""

import dataclasses
import math
import numbers
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import jax
import numpy as np

from glide_jax.config import SamplingConfig
from glide_jax.config.reading import plain
from glide_jax.errors import UserError, unknown_name
from glide_jax.parallel.free_memory import free_host_bytes

SAMPLE, INPAINT, EDIT, UPSAMPLE = "sample", "inpaint", "edit", "upsample"
"""The tasks. SAMPLE alone starts from no image."""

GUIDE_SETTINGS = ("clip_scale", "classifier_scale")
"""Settings that no stage's config has, since they need a guide."""


class Subject(NamedTuple):
    """What one image is to show.

    Attributes:
        prompt: a caption; "": anything.
        negative_prompt: guidance leads away from it; "": away from anything at all.
        label: a class, for class-conditional models; None: none was given.
    """

    prompt: str = ""
    negative_prompt: str = ""
    label: int | None = None


@dataclasses.dataclass(frozen=True)
class StageEdit:
    """The part of a stage's image that is there before sampling.

    Attributes:
        known: (image: f32[1 s s 3] in [-1, 1], mask: f32[1 s s 1], 1 where KEPT), the same for all
            images or n of each, or None.
        initial: (image: f32[1 s s 3] in [-1, 1], or n of them, strength in (0, 1]: the share of the
            steps that are taken, from the image noised to the first of them), or None.
    """

    known: tuple[np.ndarray, np.ndarray] | None = None
    initial: tuple[np.ndarray, float] | None = None

    def of_rows(self, rows: Sequence[int]) -> "StageEdit":
        """The edit of some of the images; what is the same for all stays one."""
        known, initial = self.known, self.initial
        if known is not None:
            known = _of_rows(known[0], rows), _of_rows(known[1], rows)
        if initial is not None:
            initial = _of_rows(initial[0], rows), initial[1]
        return StageEdit(known, initial)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of the first stage that samples, resolved: every value is decided.

    Attributes:
        sampling: the stage's config, with what was asked for in its place.
        guidance_scales: one per image.
        clip_scale: of the gradient of CLIP's 100 · cosine (Nichol et al. 2021, sec. 2.4); None: it
            doesn't guide.
        classifier_scale: of the gradient of a classifier's log p(class) (Dhariwal & Nichol 2021,
            sec. 4); None: it doesn't guide.
    """

    sampling: SamplingConfig
    guidance_scales: tuple[float, ...]
    clip_scale: float | None
    classifier_scale: float | None

    def to_dict(self, image: int) -> dict[str, Any]:
        """The settings of one image, ready for JSON; `resolve` reads them."""
        scales = {"clip_scale": self.clip_scale, "classifier_scale": self.classifier_scale}
        given = {name: value for name, value in scales.items() if value is not None}
        sampling = dataclasses.asdict(self.sampling)
        sampling["guidance_interval"] = list(self.sampling.guidance_interval)
        return sampling | given | {"guidance_scale": self.guidance_scales[image]}


@dataclasses.dataclass(frozen=True)
class SampleRequest:
    """Everything that is asked of a pipeline, one row per image.

    Attributes:
        task: SAMPLE, INPAINT, EDIT or UPSAMPLE.
        subjects: what each image is to show.
        indices: each image's index; with its seed it decides its noise.
        seeds: each image's seed, 0 … 2⁶³ - 1.
        settings: of the first stage that samples; the others keep their config's.
        first_stage: its place in the pipeline.
        low_res: uint8[n s s 3], what it enlarges; None: it is a base model.
        edits: for each stage that samples; (): nothing is there before.
        rerank: (k, m): of every m images of a prompt, the k best by CLIP are kept; None: all are.
        batch_slots: to reproduce one image: for each stage, (images in its batch, its slot); None:
            batches are made as the settings say.
        strength, input_files: for the provenance.
    """

    task: str
    subjects: tuple[Subject, ...]
    indices: tuple[int, ...]
    seeds: tuple[int, ...]
    settings: Settings
    first_stage: int = 0
    low_res: np.ndarray | None = None
    edits: tuple[StageEdit, ...] = ()
    rerank: tuple[int, int] | None = None
    batch_slots: tuple[tuple[int, int], ...] | None = None
    strength: float | None = None
    input_files: Mapping[str, str | None] = dataclasses.field(default_factory=dict)

    def edit(self, place: int) -> StageEdit:
        """The edit of the `place`-th stage that samples."""
        return self.edits[place] if self.edits else StageEdit()


def _of_rows(array: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    return array if len(array) == 1 else array[list(rows)]


def _are_several(text: Any) -> TypeGuard[Iterable[Any]]:
    """Whether these are several prompts; what is none at all is refused by its type."""
    return isinstance(text, Iterable) and not isinstance(text, str | bytes)


def subjects_of(prompt: str | Sequence[str], negative: str | Sequence[str]) -> list[Subject]:
    """A Subject for each prompt.

    Args:
        prompt: one or several.
        negative: one for all of them, or as many as there are.

    Raises:
        UserError: their numbers differ, or one is not text.
    """
    prompts: list[Any] = list(prompt) if _are_several(prompt) else [prompt]
    negatives: list[Any] = list(negative) if _are_several(negative) else [negative] * len(prompts)
    for text in (*prompts, *negatives):
        if not isinstance(text, str):
            raise UserError(f"a prompt is text, not {text!r}")
    if not prompts:
        raise UserError('give a prompt; an empty one, "", asks for an image of anything')
    if len(prompts) != len(negatives):
        raise UserError(
            f"there are {len(prompts)} prompts and {len(negatives)} negative prompts: give one "
            "for all, or one for each"
        )
    return [Subject(*pair) for pair in zip(prompts, negatives, strict=True)]


def repeated(
    subjects: Sequence[Subject], num_images: int, bytes_each: int = 0
) -> tuple[Subject, ...]:
    """Each subject num_images times, in a row.

    Args:
        subjects: what is to be shown.
        num_images: of each.
        bytes_each: what an image takes of this machine's memory until all of them are sampled.

    Raises:
        UserError: it is fewer than 1, or more than the memory holds.
    """
    if not isinstance(num_images, numbers.Integral) or num_images < 1:
        raise UserError(f"num_images must be 1 or more, not {num_images}")
    count, free = len(subjects) * num_images, free_host_bytes()
    if count * bytes_each > free or count >= 2**31:  # an image's index has 32 bits
        raise UserError(
            f"num_images={num_images}: of {count} images at once {int(free / max(bytes_each, 1))} "
            "fit the memory that is free; sample fewer at a time, each time with its own seed"
        )
    return tuple(subject for subject in subjects for _ in range(num_images))


def resolve(
    given: Mapping[str, Any],
    config: SamplingConfig,
    num_subjects: int,
    num_images: int,
    *,
    inpaints: bool,
) -> Settings:
    """The settings that were given, over a stage's config.

    Args:
        given: by name; those of SamplingConfig, and GUIDE_SETTINGS. guidance_scale may be one for
            each subject, and steps a number. None: as the config says.
        config: the stage's.
        num_subjects: how many prompts or classes there are.
        num_images: how many images of each.
        inpaints: whether the config's inpaint_sampler is the default sampler.

    Raises:
        UserError: a name that doesn't exist, or a value that makes no sense.
    """
    values = {name: value for name, value in given.items() if value is not None}
    hints = typing.get_type_hints(SamplingConfig)
    for name in values:
        if name not in (*hints, *GUIDE_SETTINGS):
            raise unknown_name("setting", name, (*hints, *GUIDE_SETTINGS))
    guides = {name: _number(name, values.pop(name, None)) for name in GUIDE_SETTINGS}
    scales = _scales(values.pop("guidance_scale", config.guidance_scale), num_subjects)
    if inpaints:
        config = dataclasses.replace(config, sampler=config.inpaint_sampler)
    changes = {name: _converted(name, value, hints[name]) for name, value in values.items()}
    if len(set(scales)) == 1:
        changes["guidance_scale"] = scales[0]
    sampling = dataclasses.replace(config, **changes)
    each = tuple(scale for scale in scales for _ in range(num_images))
    return Settings(sampling, each, guides["clip_scale"], guides["classifier_scale"])


def check_strength(strength: Any) -> float:
    """The strength of an edit. Raises UserError unless it is in (0, 1]."""
    good = isinstance(strength, numbers.Real) and 0 < float(strength) <= 1
    if not good:
        raise UserError(f"strength must be above 0 and at most 1, not {strength!r}")
    return float(strength)


def stage_key(seed: int, place: int) -> jax.Array:
    """The key of a seed at the `place`-th stage of a pipeline. Raises UserError for a bad seed."""
    if not (isinstance(seed, numbers.Integral) and 0 <= seed < 2**63):
        raise UserError(f"a seed is an integer from 0 to 2⁶³ - 1, not {seed!r}")
    low, high = int(seed) % 2**32, int(seed) // 2**32
    key = jax.random.key(low)
    # JAX's own keys take 32 bits of a seed.
    key = jax.random.fold_in(key, high) if high else key
    return jax.random.fold_in(key, place)


def _scales(given: Any, num_subjects: int) -> tuple[float, ...]:
    """One guidance scale for each subject."""
    many = list(given) if isinstance(given, list | tuple | np.ndarray) else [given] * num_subjects
    if len(many) != num_subjects:
        raise UserError(
            f"there are {num_subjects} prompts and {len(many)} guidance scales: give one for all, "
            "or one for each"
        )
    scales = [_number("guidance_scale", scale) for scale in many]
    return tuple(scale for scale in scales if scale is not None)


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    good = isinstance(value, numbers.Real) and 0 <= float(value) < math.inf
    if not good or isinstance(value, bool):
        raise UserError(f"{name} must be a number, 0 or more, not {value!r}")
    return float(value)


def _converted(name: str, value: Any, hint: Any) -> Any:
    """A value as SamplingConfig has it, which checks the range itself; NumPy's are Python's."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if name == "steps" and type(value) is int:
        value = str(value)
    if isinstance(value, list | tuple):
        value = [item.tolist() if isinstance(item, np.generic) else item for item in value]
    return plain(value, hint, name)
