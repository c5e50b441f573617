"""What a model in training is told of a picture: its captions or its label, as rows of a batch."""

import functools
from collections.abc import Callable

import numpy as np

from glide_jax.data.source import Source
from glide_jax.errors import UserError
from glide_jax.text.tokenizer import Tokenizer, tokenize

Row = dict[str, np.ndarray]
"""One picture's part of a batch, by the arrays' names, without the batch's axis."""

Words = tuple[tuple[str, ...], int | None]
"""A picture's captions, and its label if it has one."""

Told = Callable[[Words, np.random.Generator], Row]
"""(what is said of a picture, chance) → what the model is told. Picklable."""


def told_captions(tokenizer: Tokenizer, length: int) -> Told:
    """One of the picture's captions, another each time: {"tokens": i32[l], "mask": bool[l]}.

    Args:
        tokenizer: for the captions; what is longer than `length` is cut.
        length: l, in tokens.
    """
    return functools.partial(_caption, tokenizer, length)


def told_labels(source: Source, name: str, num_classes: int) -> Told:
    """The picture's label: {"label": i32[]}.

    Args:
        source: the pictures.
        name: what the source is called.
        num_classes: that the model knows.

    Returns:
        What tells it; it raises UserError for a picture without a label, or with one that is out
        of range.

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


def told_nothing(words: Words, rng: np.random.Generator) -> Row:
    """Nothing: the model draws what it will."""
    del words, rng
    return {}


def _caption(tokenizer: Tokenizer, length: int, words: Words, rng: np.random.Generator) -> Row:
    captions, _ = words
    text = tokenize(tokenizer, [captions[rng.integers(len(captions))]], length)
    return {"tokens": text.tokens[0], "mask": text.mask[0]}


def _label(num_classes: int, words: Words, rng: np.random.Generator) -> Row:
    del rng
    captions, label = words
    if label is None or not 0 <= label < num_classes:
        which = "no label" if label is None else f"the label {label}"
        raise UserError(
            f"a picture, captioned {captions[0]!r}, has {which}; model.num_classes={num_classes} "
            f"asks for one from 0 to {num_classes - 1}"
        )
    return {"label": np.asarray(label, np.int32)}
