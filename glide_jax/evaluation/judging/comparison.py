"""A comparison: images of several models for the same prompts, and what can be asked of them."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from glide_jax.errors import UserError, a_few
from glide_jax.evaluation.judging.questions import QUESTIONS, Question

_SHOWN_BYTES = 16
_SEPARATOR = "\0"


class JudgedImage(NamedTuple):
    """One image of a comparison.

    Attributes:
        model: the name of what made it.
        prompt: its caption.
        number: 0 for the model's first image of that prompt, 1 for its second, …
        sha256: of the file, in hexadecimal.
        path: of the file.
    """

    model: str
    prompt: str
    number: int
    sha256: str
    path: Path


class Trial(NamedTuple):
    """One question of one pair of images, or of one image.

    Attributes:
        question: its name.
        prompt, number: of the images.
        models: two in the order of their names, or one.
    """

    question: str
    prompt: str
    number: int
    models: tuple[str, ...]

    def id(self, key: bytes) -> str:
        """A name for it that shows nobody which models are compared, unless they have the key."""
        return _digest(key, "trial", self.question, self.prompt, str(self.number), *self.models)


class Assignment(NamedTuple):
    """A trial as one judge sees it.

    Attributes:
        trial: what is asked.
        key: what its place in the judge's order and its sides are made of, stored with the vote.
        shown: the models from left to right.
    """

    trial: Trial
    key: int
    shown: tuple[str, ...]

    @classmethod
    def of(cls, trial: Trial, judge: str, key: bytes) -> "Assignment":
        """The assignment of a trial to a judge: always the same, for one key of a comparison."""
        own = assignment_key(trial.id(key), judge, key)
        swapped = len(trial.models) == 2 and own & 1
        return cls(trial, own, trial.models[::-1] if swapped else trial.models)


def assignment_key(trial_id: str, judge: str, key: bytes) -> int:
    """63 random bits of a trial and a judge. The lowest: whether the sides are swapped; the rest:
    its place in the judge's order."""
    return int(_digest(key, "assignment", judge, trial_id), 16) >> (8 * _SHOWN_BYTES - 63)


def image_id(image: JudgedImage, key: bytes) -> str:
    """A name for an image that shows nobody whose it is, unless they have the key."""
    return _digest(key, "image", image.model, image.prompt, str(image.number), image.sha256)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is judged.

    Attributes:
        models: names, sorted.
        images: (model, prompt, number) → image; every model has the same prompts and numbers.
        questions: what is asked.
    """

    models: tuple[str, ...]
    images: Mapping[tuple[str, str, int], JudgedImage]
    questions: tuple[Question, ...]

    def trials(self) -> list[Trial]:
        """Everything that can be asked, each once."""
        subjects = sorted({(prompt, number) for _, prompt, number in self.images})
        return [
            Trial(question.name, prompt, number, models)
            for question in self.questions
            for prompt, number in subjects
            for models in itertools.combinations(self.models, question.num_images)
        ]

    def image_of(self, trial: Trial, model: str) -> JudgedImage:
        """The image of one of a trial's models."""
        return self.images[model, trial.prompt, trial.number]


def compare(
    images: Iterable[JudgedImage], questions: Sequence[Question], *, skip_unpaired: bool
) -> Comparison:
    """Put together what is judged.

    Args:
        images: of all models.
        questions: what is asked.
        skip_unpaired: leave images away that another model has no partner for; else they are an
            error.

    Raises:
        UserError: too few models for a question, an image without a partner, or none with one.
    """
    by_key = {(image.model, image.prompt, image.number): image for image in images}
    models = tuple(sorted({model for model, _, _ in by_key}))
    for question in questions:
        if len(models) < question.num_images:
            alone = ",".join(name for name, q in QUESTIONS.items() if q.num_images == 1)
            raise UserError(
                f"{question.name} compares models, and there is only {models[0]!r}: give another "
                f"folder, or --questions {alone}"
            )
    subjects = {(prompt, number) for _, prompt, number in by_key}
    missing = sorted(
        (model, *subject)
        for model in models
        for subject in subjects
        if (model, *subject) not in by_key
    )
    if missing and not skip_unpaired:
        named = a_few([f"{model} of {prompt!r}" for model, prompt, _ in missing])
        raise UserError(
            f"{len(missing)} images lack a partner, as there is none by {named}: sample them, or "
            "judge the others with --skip-unpaired"
        )
    incomplete = {(prompt, number) for _, prompt, number in missing}
    kept = {key: image for key, image in by_key.items() if key[1:] not in incomplete}
    if not kept:
        raise UserError(
            "no prompt has an image by every model: sample the same prompts with each of them"
        )
    return Comparison(models, kept, tuple(questions))


def _digest(key: bytes, *parts: str) -> str:
    text = _SEPARATOR.join(parts).encode("utf-8")
    return hashlib.blake2b(text, key=key, digest_size=_SHOWN_BYTES).hexdigest()
