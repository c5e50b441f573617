"""What a model is conditioned on in training: an example's captions or its label, as batch rows."""

import functools
from collections.abc import Callable

import numpy as np

from glide_jax.data.source import Source
from glide_jax.errors import UserError
from glide_jax.text.reader import CaptionReader

Row = dict[str, np.ndarray]
"""One example's part of a batch: array name → array without the batch axis."""

Annotation = tuple[tuple[str, ...], int | None]
"""(captions, label) of one image, as in `Example`."""

Conditioning = Callable[[Annotation, np.random.Generator], Row]
"""(annotation, random generator) → the row that the model is conditioned on. Picklable."""


def caption_conditioning(reader: CaptionReader) -> Conditioning:
    """Condition on one of an example's captions, sampled uniformly at every call.

    Args:
        reader: of the caption, whose end is cut off where it is too long.

    Returns:
        The conditioning; its rows are {"tokens": i32[l], "mask": bool[l], True at tokens} or, from
        a frozen encoder, {"text_embedding": bf16[l d], "mask": bool[l]}.
    """
    return functools.partial(_caption, reader)


def label_conditioning(source: Source, name: str, num_classes: int) -> Conditioning:
    """Condition on an example's label.

    Args:
        source: the examples.
        name: the data set's name, for errors.
        num_classes: how many classes the model has.

    Returns:
        The conditioning; its rows are {"label": i32[] in [0, num_classes)}. It raises UserError
        for an example without a label, or with a label outside this range.

    Raises:
        UserError: the source has no labels, or more classes than the model.
    """
    classes = source.classes
    if classes is None:
        raise UserError(
            f"the data set {name!r} has no labels, and this model learns classes: choose one that "
            "has, or say which field is the label (?label=FIELD, see docs/data.md)"
        )
    if len(classes) > num_classes:
        raise UserError(
            f"the data set {name!r} has {len(classes)} classes: set model.num_classes to as many, "
            f"not {num_classes}"
        )
    return functools.partial(_label, num_classes)


def no_conditioning(annotation: Annotation, rng: np.random.Generator) -> Row:
    """Condition on nothing: the rows are {}."""
    del annotation, rng
    return {}


def _caption(reader: CaptionReader, annotation: Annotation, rng: np.random.Generator) -> Row:
    captions, _ = annotation
    arrays = reader.read([captions[rng.integers(len(captions))]]).arrays
    return {name: array[0] for name, array in arrays.items()}


def _label(num_classes: int, annotation: Annotation, rng: np.random.Generator) -> Row:
    del rng
    captions, label = annotation
    if label is None or not 0 <= label < num_classes:
        which = "no label" if label is None else f"the label {label}"
        raise UserError(
            f"an image, captioned {captions[0]!r}, has {which}; model.num_classes={num_classes} "
            f"asks for one from 0 to {num_classes - 1}"
        )
    return {"label": np.asarray(label, np.int32)}
