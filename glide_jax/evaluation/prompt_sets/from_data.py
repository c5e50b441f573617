"""The captions, or the classes, of a data set's split as prompts."""

from collections.abc import Sequence

import numpy as np

from glide_jax import data
from glide_jax.config import Experiment
from glide_jax.data.images import BrokenImage
from glide_jax.data.source import Example, Source, fingerprint_of
from glide_jax.errors import UserError
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.sampling.request import Subject

FIRST, RANDOM = "first", "random"
"""Which captions: the first one of each image, in order; or any of all captions, at random."""

CHOICES = (FIRST, RANDOM)

SCORERS = {"shapes": "glide_jax.data.shapes.scorer"}
"""Data set → the module whose `score(image: uint8[h w 3], facts)` gives a dataclass of True,
False or, where the caption asserts nothing of the kind, None."""


def has_scorer(source: str) -> bool:
    """Whether images of this data set ("shapes/64") can be scored."""
    return source.partition("/")[0] in SCORERS


def prompts_of_split(
    experiment: Experiment, split: str, count: int, choice: str = FIRST
) -> PromptSet:
    """What images of a split show.

    Of a model with classes, the classes of the split's first images; of an unconditional one,
    nothing at all.

    Args:
        experiment: whose `data` it is a split of; its seed chooses among captions.
        split: of the data set, which is made if it is missing.
        count: of rows, at most: those that the split has.
        choice: of CHOICES.

    Raises:
        UserError: there is no such split, or it has no classes and the model needs them.
    """
    name, path = experiment.data.source, experiment.data.path
    if experiment.samples_anything:
        return PromptSet("anything", fingerprint_of(["anything"]), (Subject(),) * count)
    source = data.open_prepared(name, path, split)
    fingerprint = fingerprint_of([source.fingerprint, name, split, choice, experiment.seed])
    if getattr(experiment.first_stage.model, "num_classes", 0):
        subjects = _classes(source, min(count, len(source)), split)
        return PromptSet(f"{split} classes", fingerprint, subjects)
    if choice == RANDOM:
        captions = _shuffled(source, experiment.seed)[:count]
        return PromptSet(split, fingerprint, _subjects(captions))
    if not has_scorer(name):
        captions = [source.captions(i)[:1] for i in range(min(count, len(source)))]
        captions = [caption for first in captions for caption in first]
        if not captions:
            raise UserError(f"the split {split!r} of {name} has no captions: choose another")
        return PromptSet(split, fingerprint, _subjects(captions))
    examples = [source[i] for i in range(min(count, len(source)))]
    return PromptSet(
        split,
        fingerprint,
        _subjects([example.captions[0] for example in examples]),
        facts=tuple(example.facts for example in examples),
        source=name,
    )


def _subjects(captions: Sequence[str]) -> tuple[Subject, ...]:
    return tuple(Subject(prompt=caption) for caption in captions)


def _shuffled(source: Source, seed: int) -> list[str]:
    """All captions of all images, in an order that the seed decides."""
    captions = [caption for i in range(len(source)) for caption in source.captions(i)]
    order = np.random.default_rng(seed).permutation(len(captions))
    return [captions[i] for i in order]


def _classes(source: Source, count: int, split: str) -> tuple[Subject, ...]:
    labels = [_label(source, i) for i in range(count)]
    found = tuple(Subject(label=label) for label in labels if label is not None)
    if not found:
        raise UserError(f"the split {split!r} has no labels, and this model samples classes")
    return found


def _label(source: Source, i: int) -> int | None:
    try:
        example: Example = source[i]
    except BrokenImage:
        return None
    return example.label
