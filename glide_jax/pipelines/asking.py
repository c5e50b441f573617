"""What people ask for, in the many ways they may, as rows of an order."""

import os
from collections.abc import Sequence
from typing import TypeVar

from glide_jax.errors import UserError
from glide_jax.pipelines.guides import ClipGuide, Guide
from glide_jax.pipelines.one_stage import Guides
from glide_jax.pipelines.pictures import Picture
from glide_jax.pipelines.settings import Settings
from glide_jax.pipelines.stage import Stage, Subject

G = TypeVar("G", bound=Guide)


def subjects_of(prompt: str | Sequence[str], negative: str | Sequence[str]) -> list[Subject]:
    """A Subject for each prompt.

    Args:
        prompt: one or several.
        negative: one for all of them, or as many as there are.

    Raises:
        UserError: another number of them, or something that is no text.
    """
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    negatives = [negative] * len(prompts) if isinstance(negative, str) else list(negative)
    for text in (*prompts, *negatives):
        if not isinstance(text, str):
            raise UserError(f"a prompt is text, not {text!r}")
    if len(prompts) != len(negatives):
        raise UserError(
            f"there are {len(prompts)} prompts and {len(negatives)} negative prompts: give one "
            "for all, or one for each"
        )
    return [Subject(*pair) for pair in zip(prompts, negatives, strict=True)]


def scales_of(settings: Settings, num_prompts: int, num_images: int) -> list[float] | None:
    """Each picture's guidance scale; None: one for all. Raises UserError for a wrong number."""
    scales = settings.guidance_scales
    if scales is None or not isinstance(settings.guidance_scale, tuple):
        return None
    if len(scales) != num_prompts:
        raise UserError(
            f"there are {num_prompts} prompts and {len(scales)} guidance scales: give one for "
            "all, or one for each"
        )
    return [scale for scale in scales for _ in range(num_images)]


def repeated(subjects: Sequence[Subject], times: int) -> list[Subject]:
    """Each of them so many times, in a row."""
    return [subject for subject in subjects for _ in range(times)]


def guides_of(
    settings: Settings, stage: Stage, clip: ClipGuide | None, classifier: Guide | None
) -> Guides:
    """Whose gradients guide a stage, as the settings say.

    Raises:
        UserError: a guide is asked for that is not there, or that does not fit the stage.
    """
    by_clip, by_class = settings.clip_scale, settings.classifier_scale
    if by_clip is not None:
        clip = _fit("clip_scale", "clip", clip, stage)
    if by_class is not None:
        classifier = _fit("classifier_scale", "classifier", classifier, stage)

    def guides(subjects):
        found = []
        if clip is not None and by_clip is not None:
            found.append(clip.towards([subject.prompt for subject in subjects], by_clip))
        if classifier is not None and by_class is not None:
            found.append(classifier.towards([subject.label for subject in subjects], by_class))
        return tuple(found)

    return guides


def path_of(picture: Picture) -> str | None:
    """Where a picture lies; None: it is no file."""
    return os.path.abspath(picture) if isinstance(picture, str | os.PathLike) else None


def _fit(setting: str, name: str, guide: G | None, stage: Stage) -> G:
    if guide is None:
        raise UserError(f"{setting} needs a guide: load one with {name}=DIR")
    sizes, steps = (guide.size, stage.size), (guide.num_steps, stage.config.diffusion.num_steps)
    for what, (theirs, ours) in (("pixels a side", sizes), ("steps of noise", steps)):
        if theirs != ours:
            raise UserError(f"the {name} knows {theirs} {what}, and the model {ours}: no guide")
    return guide
