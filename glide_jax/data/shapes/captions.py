"""Captions of scenes in varied English, each with exactly what it asserts."""

from typing import Any, NamedTuple

import numpy as np

from glide_jax.data.shapes.scene import CONVERSE, PLAIN, Object, Scene

_NAMES_SIZE = 0.6  # share of objects whose size is named
_NAMES_PLAIN = 0.25  # share of plain backgrounds that are named; all others always are
_NAMES_RELATION = 0.92  # share of captions of two objects that name their relation

_SIZE_WORDS = {"small": ("small", "small", "little"), "large": ("large", "large", "big")}
_GREY_WORDS = ("grey", "grey", "gray")

# {a} is the first object, {b} the second; what is listed twice is sampled twice as often.
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
_BACKGROUND = (
    "{text}{comma} on a {background} background",
    "{text}{comma} on a {background} background",
    "{text}{comma} on {background}",
    "{text}{comma} against a {background} background",
    "on a {background} background, {text}",
)


class Caption(NamedTuple):
    """A caption and all that it asserts.

    Attributes:
        text: lower-case English without a full stop, at most 20 words.
        facts: {"objects": [{"shape", "colour", "size"}, …], "relation", "background"}, JSON-able.
            size, relation and background are None where the text doesn't mention them. Objects
            and relation are in the text's order: the first object is `relation` the second.
    """

    text: str
    facts: dict[str, Any]


def describe(scene: Scene, rng: np.random.Generator, always_relate: bool) -> Caption:
    """Return a caption that is true of a scene.

    Args:
        scene: the scene.
        rng: chooses what is mentioned, and the wording.
        always_relate: whether a caption of two objects always names their relation.
    """
    objects, relation = scene.objects, scene.relation
    if relation is not None and rng.random() < 0.5:
        objects, relation = objects[::-1], CONVERSE[relation]
    if not always_relate and rng.random() >= _NAMES_RELATION:
        relation = None
    names_background = scene.background != PLAIN or rng.random() < _NAMES_PLAIN
    background = scene.background if names_background else None
    sizes = [o.size if rng.random() < _NAMES_SIZE else None for o in objects]
    template = _template(len(objects), relation, rng)
    text = template.format(**_words(objects, sizes, relation, rng))
    if background is not None:
        comma = "" if template.endswith(("{a}", "{b}")) else ","
        name = _choose(rng, _GREY_WORDS) if background == "grey" else background
        text = _choose(rng, _BACKGROUND).format(text=text, comma=comma, background=name)
    asserted = [
        {"shape": o.shape, "colour": o.colour, "size": size}
        for o, size in zip(objects, sizes, strict=True)
    ]
    return Caption(text, {"objects": asserted, "relation": relation, "background": background})


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
    """Return the values of a template's names."""
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
    """Return "a large red circle", "an orange ring" or, without colour, "a small cross"."""
    words = [_choose(rng, _SIZE_WORDS[size])] if size else []
    words += [o.colour, o.shape] if colour else [o.shape]
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words])


def _choose(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]
