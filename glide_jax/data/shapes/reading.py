"""Reads a picture of `shapes`: which objects it holds, their colours, sizes and places."""

import dataclasses
from collections.abc import Iterable
from typing import cast

import numpy as np
from scipy import ndimage

from glide_jax.data import images
from glide_jax.data.shapes.matching import centroid, match_shape, stands_out_most
from glide_jax.data.shapes.scene import BACKGROUNDS, COLOURS, SIZE_LIMIT

_SIDE = 64  # every picture is read at this size
_BORDER = 3  # pixels
_SMOOTHING = 0.7  # σ in pixels: noise goes, shapes stay
_CONTRAST = 0.2  # a pixel this far from the background (RGB in [0, 1]) belongs to an object
_UNEXPLAINED = 0.17  # a pixel this far from any mix of background and object is another object's
_STRANGE = 0.27  # a colour this far from every one in the palette has no name
_FAINTEST = 0.6  # a soft picture may show a thin stroke mixed with this little of its colour
_SPECK = 24  # pixels; smaller blobs are dirt (the smallest object, a small star, has over 90)
_MOST_PARTS = 4

_COLOUR_VALUES = np.array(list(COLOURS.values()), np.float32) / 255
_BACKGROUND_VALUES = np.array(list(BACKGROUNDS.values()), np.float32) / 255


@dataclasses.dataclass(frozen=True)
class SeenObject:
    """An object as read from a picture.

    Attributes:
        shape: one of SHAPES; None if it looks like none of them.
        colour: one of COLOURS; None if it is far from all of them.
        size: one of SIZES.
        x, y: its centroid, fractions of the side, y down.
        overlap: how well it fits the shape, in [0, 1].
    """

    shape: str | None
    colour: str | None
    size: str
    x: float
    y: float
    overlap: float


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a picture holds.

    Attributes:
        background: one of BACKGROUNDS; None if it is far from all of them.
        objects: all that stand out from it, in no order.
    """

    background: str | None
    objects: tuple[SeenObject, ...]


def read_picture(image: np.ndarray) -> Reading:
    """Read a picture.

    The background is the border's median colour. What differs from it falls into connected blobs;
    a blob of several colours is taken apart by them, and one of a strange form at its waist. Each
    part is named by the nearest palette colour and the template that it overlaps best.

    Args:
        image: uint8[h w 3], or float[h w 3] in [-1, 1]; read at 64×64, whatever its size.
    """
    canvas = _canvas(image)
    ground = np.median(_border(canvas), axis=0)
    stands_out = np.linalg.norm(canvas - ground[None, None], axis=-1) > _CONTRAST
    objects: list[SeenObject] = []
    for blob in _connected(stands_out):
        objects += _read_blob(canvas, ground, blob, stands_out)
    strangeness = np.linalg.norm(_BACKGROUND_VALUES - ground[None], axis=-1)
    return Reading(_name(strangeness, BACKGROUNDS), tuple(objects))


def _canvas(image: np.ndarray) -> np.ndarray:
    """Return the picture as f32[_SIDE _SIDE 3] in [0, 1], without its noise."""
    if image.dtype != np.uint8:
        image = images.to_uint8(image)
    image = images.square(image, _SIDE)
    canvas = image.astype(np.float32) / 255
    return ndimage.gaussian_filter(canvas, (_SMOOTHING, _SMOOTHING, 0), mode="nearest")


def _border(canvas: np.ndarray) -> np.ndarray:
    """Return the colours of the outermost pixels, f32[n 3]."""
    outermost = np.ones((_SIDE, _SIDE), bool)
    outermost[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    return canvas[outermost]


def _read_blob(
    canvas: np.ndarray, ground: np.ndarray, blob: np.ndarray, stands_out: np.ndarray
) -> list[SeenObject]:
    """Name the objects of a blob (bool[h w], a connected part of `stands_out`)."""
    objects = []
    for part, core in _parts(canvas, ground, blob):
        soft_edge = np.asarray(ndimage.binary_dilation(part, iterations=2), bool) & ~stands_out
        alpha = np.where(part | soft_edge, _mix(canvas, ground, core), 0)
        if alpha.sum() < _SPECK:
            continue
        whole = _describe(alpha, ground, core)
        halves = [] if whole.shape else [_describe(h, ground, core) for h in _halves(alpha)]
        objects += halves if halves and all(h.shape for h in halves) else [whole]
    return objects


def _describe(alpha: np.ndarray, ground: np.ndarray, core: np.ndarray) -> SeenObject:
    match = match_shape(alpha)
    y, x = centroid(alpha)
    return SeenObject(
        shape=match.shape,
        colour=_name(_strangeness_of_names(core, ground), COLOURS),
        size="large" if match.across >= SIZE_LIMIT * _SIDE else "small",
        x=(x + 0.5) / _SIDE,
        y=(y + 0.5) / _SIDE,
        overlap=match.overlap,
    )


def _parts(
    canvas: np.ndarray, ground: np.ndarray, blob: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Take a blob apart by colour: (mask bool[h w], core colour f32[3]) of every part."""
    cores: list[np.ndarray] = []
    rest = blob
    while rest.sum() >= _SPECK and len(cores) < _MOST_PARTS:
        cores.append(_core(canvas[rest], ground))
        rest = rest & (_strangeness(canvas, ground, cores[-1], faintest=0) > _UNEXPLAINED)
        rest = np.asarray(ndimage.binary_opening(rest), bool)  # a soft edge between two is no part
    if len(cores) == 1:
        return [(blob, cores[0])]
    owner = np.argmin([_strangeness(canvas, ground, core, faintest=0) for core in cores], axis=0)
    return [
        (part, core) for k, core in enumerate(cores) for part in _connected(blob & (owner == k))
    ]


def _core(pixels: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Return the commonest colour f32[3] among the pixels f32[n 3] that stand out most."""
    strong = pixels[stands_out_most(np.linalg.norm(pixels - ground[None], axis=-1))]
    names = np.argmin(_strangeness_of_names(strong, ground), axis=-1)
    return np.median(strong[names == np.bincount(names).argmax()], axis=0)


def _halves(alpha: np.ndarray) -> list[np.ndarray]:
    """Cut a blob (f32[h w]) at its waist: its two halves, or [] if it has no waist."""
    seeds = alpha > 0.5
    pieces = _connected(seeds, smallest=1)
    while len(pieces) == 1:
        seeds = np.asarray(ndimage.binary_erosion(seeds), bool)
        pieces = _connected(seeds, smallest=1)
    if len(pieces) != 2:
        return []
    to_first, to_second = (
        np.asarray(ndimage.distance_transform_edt(np.logical_not(piece))) for piece in pieces
    )
    nearer_first = to_first < to_second
    return [np.where(nearer_first, alpha, 0), np.where(nearer_first, 0, alpha)]


def _connected(mask: np.ndarray, smallest: int = _SPECK) -> list[np.ndarray]:
    """Return the connected parts of bool[h w] that have that many pixels, each a mask."""
    labels, count = cast(tuple[np.ndarray, int], ndimage.label(mask))
    sizes = np.bincount(labels.ravel())
    return [labels == k for k in range(1, count + 1) if sizes[k] >= smallest]


def _mix(colours: np.ndarray, ground: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return how much of `colour` each of f32[... 3] holds, the rest being ground: in [0, 1]."""
    direction = colour - ground
    squared = max(float(direction @ direction), 1e-6)  # 0: the ground itself has this colour
    return np.clip((colours - ground) @ direction / squared, 0, 1)


def _strangeness(
    colours: np.ndarray, ground: np.ndarray, colour: np.ndarray, faintest: float
) -> np.ndarray:
    """Return how far f32[... 3] are from ground and `colour` mixed, at least `faintest` of it."""
    mix = np.maximum(_mix(colours, ground, colour), faintest)[..., None]
    return np.linalg.norm(colours - (ground + mix * (colour - ground)), axis=-1)


def _strangeness_of_names(colours: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Return how far each of f32[... 3] is from each of COLOURS on this ground, f32[... 8]."""
    each = [_strangeness(colours, ground, value, _FAINTEST) for value in _COLOUR_VALUES]
    return np.stack(each, axis=-1)


def _name(strangeness: np.ndarray, names: Iterable[str]) -> str | None:
    """Return the name of the least strange f32[n]; None if that is strange too."""
    best = int(np.argmin(strangeness))
    return list(names)[best] if strangeness[best] <= _STRANGE else None
