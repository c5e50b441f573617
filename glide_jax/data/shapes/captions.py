"""Says in varied English what a scene shows, and what exactly it said."""

from typing import Any, NamedTuple

import numpy as np

from glide_jax.data.shapes.scene import CONVERSE, PLAIN, Object, Scene

_SAYS_SIZE = 0.6  # share of objects whose size is named
_SAYS_PLAIN = 0.25  # share of plain grounds that are named; any other always is
_SAYS_RELATION = 0.92  # share of captions of two objects that say how they stand

_SIZE_WORDS = {"small": ("small", "small", "little"), "large": ("large", "large", "big")}
_GREY_WORDS = ("grey", "grey", "gray")

# {a} is the first object, {b} the second; what stands twice is drawn twice as often.
_ONE = ("{a}", "{a}", "there is {a}", "just {a}", "{a} alone", "{a_apart}")
_TWO = ("{a} and {b}", "there is {a} and {b}", "two shapes, {a} and {b}")
_TWO_RELATED = (
    "{a} {where} {b}",
    "{a} {where} {b}",
    "there is {a} {where} {b}",
    "{a} is {where} {b}",
    "{where} {b} is {a}",
    "{b} with {a} {beside}",
    "{a} {place} and {b} {other_place}",
)
_WHERE = {
    "left of": ("to the left of", "left of", "on the left of"),
    "right of": ("to the right of", "right of", "on the right of"),
    "above": ("above", "above", "over"),
    "below": ("below", "below", "under", "beneath"),
}
_BESIDE = {
    "left of": ("on its left", "to its left"),
    "right of": ("on its right", "to its right"),
    "above": ("above it", "over it"),
    "below": ("below it", "under it"),
}
_PLACE = {
    "left of": "on the left",
    "right of": "on the right",
    "above": "at the top",
    "below": "at the bottom",
}
_GROUND = (
    "{said}{comma} on a {ground} background",
    "{said}{comma} on a {ground} background",
    "{said}{comma} on {ground}",
    "{said}{comma} against a {ground} background",
    "on a {ground} background, {said}",
)


class Caption(NamedTuple):
    """A wording and what it asserts, no more.

    Attributes:
        text: lower-case English without a full stop, at most 20 words.
        facts: {"objects": [{"shape", "colour", "size"}, …], "relation", "background"}, JSON-able.
            size, relation and background are None where the text is silent. The first object
            stands so to the second: the relation as the text words it, the objects in that order.
    """

    text: str
    facts: dict[str, Any]


def describe(scene: Scene, rng: np.random.Generator, always_relate: bool) -> Caption:
    """Word a caption that is true of a scene.

    Args:
        scene: what the picture shows.
        rng: decides what is said, and how.
        always_relate: with two objects, never leave out how they stand.
    """
    objects, relation = scene.objects, scene.relation
    if relation is not None and rng.random() < 0.5:
        objects, relation = objects[::-1], CONVERSE[relation]
    if not always_relate and rng.random() >= _SAYS_RELATION:
        relation = None
    says_ground = scene.background != PLAIN or rng.random() < _SAYS_PLAIN
    background = scene.background if says_ground else None
    sizes = [o.size if rng.random() < _SAYS_SIZE else None for o in objects]
    template = _template(len(objects), relation, rng)
    said = template.format(**_words(objects, sizes, relation, rng))
    if background is not None:
        comma = "" if template.endswith(("{a}", "{b}")) else ","
        ground = _choose(rng, _GREY_WORDS) if background == "grey" else background
        said = _choose(rng, _GROUND).format(said=said, comma=comma, ground=ground)
    asserted = [
        {"shape": o.shape, "colour": o.colour, "size": size}
        for o, size in zip(objects, sizes, strict=True)
    ]
    return Caption(said, {"objects": asserted, "relation": relation, "background": background})


def _template(count: int, relation: str | None, rng: np.random.Generator) -> str:
    if relation is not None:
        return _choose(rng, _TWO_RELATED)
    return _choose(rng, _ONE if count == 1 else _TWO)


def _words(
    objects: tuple[Object, ...],
    sizes: list[str | None],
    relation: str | None,
    rng: np.random.Generator,
) -> dict[str, str]:
    """Return what a template's names stand for."""
    shown = list(zip(objects, sizes, strict=True))
    words = dict(zip("ab", (_noun(o, size, rng) for o, size in shown), strict=False))
    words["a_apart"] = f"{_noun(objects[0], sizes[0], rng, colour=False)}, {objects[0].colour}"
    if relation is not None:
        words["where"] = _choose(rng, _WHERE[relation])
        words["beside"] = _choose(rng, _BESIDE[relation])
        words["place"] = _PLACE[relation]
        words["other_place"] = _PLACE[CONVERSE[relation]]
    return words


def _noun(o: Object, size: str | None, rng: np.random.Generator, colour: bool = True) -> str:
    """Return "a large red circle", "an orange ring", without colour "a small cross"."""
    words = [_choose(rng, _SIZE_WORDS[size])] if size else []
    words += [o.colour, o.shape] if colour else [o.shape]
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words])


def _choose(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]
