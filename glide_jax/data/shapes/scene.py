"""The vocabulary of `shapes`, what a scene is, and which scenes each split shows.

A scene has no resolution: lengths are fractions of the image's side, x to the right, y down. It is
sampled from (split, index) alone, so that image 17 of `train` is the same on every machine and at
every size.
"""

import dataclasses

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")

COLOURS = {
    "red": (215, 20, 30),
    "orange": (255, 130, 0),
    "yellow": (255, 235, 0),
    "green": (15, 155, 55),
    "cyan": (0, 215, 240),
    "blue": (20, 60, 225),
    "purple": (145, 25, 190),
    "pink": (255, 105, 195),
}
"""Colours of objects, RGB in 0..255: > 100 apart from each other and from all backgrounds."""

BACKGROUNDS = {
    "white": (255, 255, 255),
    "grey": (195, 195, 195),
    "cream": (255, 235, 185),
    "mint": (190, 245, 210),
}
"""Colours of backgrounds, RGB in 0..255, > 50 apart from each other.

All are pale: with backgrounds as different as black and white, they make up most of an image's
squared error, and a small model learns their names and no other word.
"""

PLAIN = "white"
"""The background that captions need not name."""

SIZES = {"small": (0.33, 0.36), "large": (0.43, 0.455)}
"""The range of an object's diameter, a fraction of the image's side."""

SIZE_LIMIT = 0.395
"""The diameter from which an object is large."""

RELATIONS = {
    "left of": (-1, 0),
    "right of": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}
"""The sign of (x, y) of the first object relative to the second."""

CONVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}

SPLITS = {"train": 20_000, "test": 1_000, "compositional": 1_000}
"""How many images each split has; their order is part of the random seed."""

CLASSES = tuple(f"{colour} {shape}" for shape in SHAPES for colour in COLOURS)
"""Names of the classes, by label."""

_MARGIN = 0.02  # between an object and the image's edge
_GAP = 0.05  # between two objects along the relation's axis: three pixels at 64×64
_OFF_CENTRE = 0.06  # how far a scene may be off the image's centre
_MISALIGNMENT = 0.04  # how far two objects may be out of line
_ONE_OBJECT = 0.5  # share of scenes with a single object
_PLAIN_SHARE = 0.4  # share of scenes on PLAIN before a background is sampled


@dataclasses.dataclass(frozen=True)
class Object:
    """A shape of one colour.

    Attributes:
        shape: one of SHAPES.
        colour: one of COLOURS.
        size: one of SIZES.
        across: its diameter, a fraction of the image's side.
        x, y: the centre of its box, fractions of the side.
    """

    shape: str
    colour: str
    size: str
    across: float
    x: float
    y: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """One or two objects on a background.

    Attributes:
        objects: the first is `relation` the second, as in "left of".
        relation: one of RELATIONS; None with a single object.
        background: one of BACKGROUNDS.
    """

    objects: tuple[Object, ...]
    relation: str | None
    background: str


def relation_holds(relation: str, dx: float, dy: float) -> bool:
    """Return whether an object has a relation to another.

    The relation's axis must be the one along which they are further apart.

    Args:
        relation: one of RELATIONS.
        dx: how far the object is to the right of the other.
        dy: how far it is below the other.
    """
    sign_x, sign_y = RELATIONS[relation]
    along, aside = (sign_x * dx, dy) if sign_x else (sign_y * dy, dx)
    return along > 0 and along >= abs(aside)


def is_held_out_pair(shape: str, colour: str) -> bool:
    """Return whether `train` and `test` never show this shape in this colour: 8 of 48 pairs."""
    return list(COLOURS).index(colour) % len(SHAPES) == (SHAPES.index(shape) + 3) % len(SHAPES)


def is_held_out_relation(first: str, relation: str, second: str) -> bool:
    """Return whether `train` and `test` never show these shapes in this relation.

    There, shape k is never left of shape k + 2 nor above shape k + 4 (modulo 6): 12 of 72
    relations, if a relation and its converse count as one.
    """
    if relation in ("right of", "below"):
        first, relation, second = second, CONVERSE[relation], first
    step = {"left of": 2, "above": 4}[relation]
    return (SHAPES.index(first) + step) % len(SHAPES) == SHAPES.index(second)


def is_compositional(scene: Scene) -> bool:
    """Return whether a scene has a pair or a relation that `train` and `test` never show."""
    if any(is_held_out_pair(o.shape, o.colour) for o in scene.objects):
        return True
    if scene.relation is None:
        return False
    first, second = scene.objects
    return is_held_out_relation(first.shape, scene.relation, second.shape)


def label_of(scene: Scene) -> int:
    """Return the label of a scene: the class of its left or upper object, an index of CLASSES."""
    first = scene.objects[-1 if scene.relation in ("right of", "below") else 0]
    return CLASSES.index(f"{first.colour} {first.shape}")


def generator(split: str, index: int, purpose: int) -> np.random.Generator:
    """Return the random generator of example `index` for a purpose (0: scene, 1: caption)."""
    seed = (list(SPLITS).index(split), index, purpose)
    return np.random.Generator(np.random.PCG64(seed))


def sample_scene(split: str, index: int) -> Scene:
    """Return scene `index` of a split, the same one every time.

    Args:
        split: one of SPLITS.
        index: 0 ≤ index; the builder stops at SPLITS[split].
    """
    rng = generator(split, index, 0)
    sample = _one_object if rng.random() < _ONE_OBJECT else _two_objects
    while True:
        scene = sample(rng)
        if is_compositional(scene) == (split == "compositional"):
            return scene


def _one_object(rng: np.random.Generator) -> Scene:
    shape, colour, size, across = _kind(rng)
    x, y = (_between(rng, *_near_middle(across)) for _ in range(2))
    return Scene((Object(shape, colour, size, across, x, y),), None, _background(rng))


def _two_objects(rng: np.random.Generator) -> Scene:
    first = second = _kind(rng)
    while second[:2] == first[:2]:  # a caption cannot distinguish two red circles
        second = _kind(rng)
    relation = _choose(rng, tuple(RELATIONS))
    centres = _place(rng, relation, first[3], second[3])
    objects = (Object(*first, *centres[0]), Object(*second, *centres[1]))
    return Scene(objects, relation, _background(rng))


def _background(rng: np.random.Generator) -> str:
    return PLAIN if rng.random() < _PLAIN_SHARE else _choose(rng, tuple(BACKGROUNDS))


def _kind(rng: np.random.Generator) -> tuple[str, str, str, float]:
    """Sample an object without its position: (shape, colour, size, across)."""
    size = _choose(rng, tuple(SIZES))
    return _choose(rng, SHAPES), _choose(rng, tuple(COLOURS)), size, _between(rng, *SIZES[size])


def _place(
    rng: np.random.Generator, relation: str, first: float, second: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the centres of two objects of these diameters, with a gap along the relation."""
    sign_x, sign_y = RELATIONS[relation]
    first_leads = sign_x + sign_y < 0  # the first is the left or the upper one
    leading, trailing = (first, second) if first_leads else (second, first)
    slack = 1 - 2 * _MARGIN - _GAP - leading - trailing
    shares = sorted((rng.random(), rng.random()))
    along = (
        _MARGIN + leading / 2 + shares[0] * slack,
        1 - _MARGIN - trailing / 2 - (1 - shares[1]) * slack,
    )
    aside = _between(rng, *_near_middle(leading))
    low, high = _room(trailing)
    # Clipping to the image moves the trailing object by less than _MISALIGNMENT.
    asides = (aside, min(max(aside + _between(rng, -_MISALIGNMENT, _MISALIGNMENT), low), high))
    pairs = list(zip(along, asides, strict=True))
    centres = pairs if sign_x else [(x, y) for y, x in pairs]
    return (centres[0], centres[1]) if first_leads else (centres[1], centres[0])


def _near_middle(across: float) -> tuple[float, float]:
    low, high = _room(across)
    return max(low, 0.5 - _OFF_CENTRE), min(high, 0.5 + _OFF_CENTRE)


def _room(across: float) -> tuple[float, float]:
    return _MARGIN + across / 2, 1 - _MARGIN - across / 2


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _choose(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]
