"""Scores whether an image of `shapes` shows what its caption asserts."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glide_jax.data.shapes.reading import Reading, SeenObject, read_image
from glide_jax.data.shapes.scene import relation_holds

__all__ = ["Reading", "Score", "SeenObject", "read_image", "score", "score_reading"]


@dataclasses.dataclass(frozen=True)
class Score:
    """How well an image fits its caption. None: the caption asserts nothing of the kind.

    If as many objects are read as asserted, they are matched one to one so that the most shapes and
    colours agree. `relation` and `size` refer to that matching and are False if there is none: if
    the number of objects differs, or two matchings agree equally well.

    Attributes:
        colour: the colours read are those asserted, with the same counts.
        shape: the shapes read are those asserted, with the same counts.
        relation: the matches of the two objects have the asserted relation: on that side, and
            at least as far apart along the relation's axis as along the other.
        size: every asserted size is that of the object's match.
        background: the background read is the asserted one.
        all: the number of objects is right, each asserted object has a match of its shape AND
            colour, and the asserted relation, if any, holds. Size and background don't count.
    """

    colour: bool
    shape: bool
    relation: bool | None
    size: bool | None
    background: bool | None
    all: bool


def score(image: np.ndarray, facts: Mapping[str, Any]) -> Score:
    """Read an image and compare it with what a caption asserts.

    Args:
        image: uint8[h w 3], or float[h w 3] in [-1, 1].
        facts: as in `captions.Caption`.
    """
    return score_reading(read_image(image), facts)


def score_reading(reading: Reading, facts: Mapping[str, Any]) -> Score:
    """Compare what was read from an image with what a caption asserts.

    Args:
        reading: as `read_image` returns it.
        facts: as in `captions.Caption`.
    """
    asserted, background = facts["objects"], facts["background"]
    matching = _best_matching(asserted, reading.objects)
    bound = matching is not None and _agreement(asserted, matching) == 2 * len(asserted)
    relation = _relation(facts["relation"], matching)
    return Score(
        colour=_same(asserted, reading.objects, "colour"),
        shape=_same(asserted, reading.objects, "shape"),
        relation=relation,
        size=_size(asserted, matching),
        background=None if background is None else reading.background == background,
        all=bound and relation is not False,
    )


Asserted = Sequence[Mapping[str, str | None]]


def _best_matching(
    asserted: Asserted, seen: tuple[SeenObject, ...]
) -> tuple[SeenObject, ...] | None:
    """Return the objects read, in the order of those asserted; None if no single order is best."""
    if len(asserted) != len(seen):
        return None
    orders = sorted(itertools.permutations(seen), key=lambda order: -_agreement(asserted, order))
    tie = len(orders) > 1 and _agreement(asserted, orders[0]) == _agreement(asserted, orders[1])
    return None if tie else orders[0]


def _agreement(asserted: Asserted, seen: tuple[SeenObject, ...]) -> int:
    """Return how many shapes and colours agree."""
    return sum(
        (a["shape"] == s.shape) + (a["colour"] == s.colour)
        for a, s in zip(asserted, seen, strict=True)
    )


def _same(asserted: Asserted, seen: tuple[SeenObject, ...], attribute: str) -> bool:
    return Counter(a[attribute] for a in asserted) == Counter(getattr(s, attribute) for s in seen)


def _relation(relation: str | None, matching: tuple[SeenObject, ...] | None) -> bool | None:
    if relation is None:
        return None
    if matching is None:
        return False
    first, second = matching
    return relation_holds(relation, first.x - second.x, first.y - second.y)


def _size(asserted: Asserted, matching: tuple[SeenObject, ...] | None) -> bool | None:
    if all(a["size"] is None for a in asserted):
        return None
    if matching is None:
        return False
    pairs = zip(asserted, matching, strict=True)
    return all(a["size"] in (None, s.size) for a, s in pairs)
