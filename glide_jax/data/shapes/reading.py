"""Reads an image of `shapes`: its objects with their colours, sizes and positions."""

import dataclasses
from collections.abc import Iterable
from typing import cast

import numpy as np
from scipy import ndimage

from glide_jax.data import images
from glide_jax.data.shapes.matching import centroid, match_shape, strongest
from glide_jax.data.shapes.scene import BACKGROUNDS, COLOURS, SIZE_LIMIT

_SIDE = 64  # every image is read at this size
_BORDER = 3  # pixels
_SMOOTHING = 0.7  # σ in pixels: removes noise, keeps shapes
_CONTRAST = 0.2  # a pixel this far from the background (RGB in [0, 1]) belongs to an object
_UNEXPLAINED = 0.17  # a pixel this far from any mix of background and object is another object's
_TOO_FAR = 0.27  # a colour this far from every colour of the palette has no name
_FAINTEST = 0.6  # in a blurred image a thin stroke may have as little of its colour as this
_SPECK = 24  # pixels; smaller blobs are noise (the smallest object, a small star, has over 90)
_MAX_PARTS = 4

_COLOUR_VALUES = np.array(list(COLOURS.values()), np.float32) / 255
_BACKGROUND_VALUES = np.array(list(BACKGROUNDS.values()), np.float32) / 255


@dataclasses.dataclass(frozen=True)
class SeenObject:
    """An object as read from an image.

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
    """The objects and the background of an image.

    Attributes:
        background: one of BACKGROUNDS; None if it is far from all of them.
        objects: in no particular order.
    """

    background: str | None
    objects: tuple[SeenObject, ...]


def read_image(image: np.ndarray) -> Reading:
    """Read an image.

    The background is the border's median colour. Pixels of other colours form connected blobs;
    a blob of several colours is split by colour, and one of no known shape at its waist. Each part
    gets the name of the nearest palette colour and of the template that it overlaps best.

    Args:
        image: uint8[h w 3], or float[h w 3] in [-1, 1]; resized to 64×64 first.
    """
    canvas = _canvas(image)
    background = np.median(_border(canvas), axis=0)
    foreground = np.linalg.norm(canvas - background[None, None], axis=-1) > _CONTRAST
    objects: list[SeenObject] = []
    for blob in _connected(foreground):
        objects += _read_blob(canvas, background, blob, foreground)
    distances = np.linalg.norm(_BACKGROUND_VALUES - background[None], axis=-1)
    return Reading(_name(distances, BACKGROUNDS), tuple(objects))


def _canvas(image: np.ndarray) -> np.ndarray:
    """Return the image as f32[_SIDE _SIDE 3] in [0, 1], denoised."""
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
    canvas: np.ndarray, background: np.ndarray, blob: np.ndarray, foreground: np.ndarray
) -> list[SeenObject]:
    """Return the objects of a blob: bool[h w], a connected component of `foreground`."""
    objects = []
    for part, core in _parts(canvas, background, blob):
        blurred_edge = np.asarray(ndimage.binary_dilation(part, iterations=2), bool) & ~foreground
        alpha = np.where(part | blurred_edge, _mix(canvas, background, core), 0)
        if alpha.sum() < _SPECK:
            continue
        whole = _describe(alpha, background, core)
        halves = [] if whole.shape else [_describe(h, background, core) for h in _halves(alpha)]
        objects += halves if halves and all(h.shape for h in halves) else [whole]
    return objects


def _describe(alpha: np.ndarray, background: np.ndarray, core: np.ndarray) -> SeenObject:
    match = match_shape(alpha)
    y, x = centroid(alpha)
    return SeenObject(
        shape=match.shape,
        colour=_name(_distance_to_names(core, background), COLOURS),
        size="large" if match.across >= SIZE_LIMIT * _SIDE else "small",
        x=(x + 0.5) / _SIDE,
        y=(y + 0.5) / _SIDE,
        overlap=match.overlap,
    )


def _parts(
    canvas: np.ndarray, background: np.ndarray, blob: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split a blob by colour: (mask bool[h w], core colour f32[3]) of every part."""
    cores: list[np.ndarray] = []
    rest = blob
    while rest.sum() >= _SPECK and len(cores) < _MAX_PARTS:
        cores.append(_core(canvas[rest], background))
        rest = rest & (_distance(canvas, background, cores[-1], faintest=0) > _UNEXPLAINED)
        # The blurred edge between two parts is no part.
        rest = np.asarray(ndimage.binary_opening(rest), bool)
    if len(cores) == 1:
        return [(blob, cores[0])]
    owner = np.argmin([_distance(canvas, background, core, faintest=0) for core in cores], axis=0)
    return [
        (part, core) for k, core in enumerate(cores) for part in _connected(blob & (owner == k))
    ]


def _core(pixels: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return the most common colour f32[3] among the strongest of the pixels f32[n 3]."""
    strong = pixels[strongest(np.linalg.norm(pixels - background[None], axis=-1))]
    names = np.argmin(_distance_to_names(strong, background), axis=-1)
    return np.median(strong[names == np.bincount(names).argmax()], axis=0)


def _halves(alpha: np.ndarray) -> list[np.ndarray]:
    """Split a blob (f32[h w]) at its waist: its two halves, or [] if it has no waist."""
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
    """Return a mask of each connected component of bool[h w] with at least so many pixels."""
    labels, count = cast(tuple[np.ndarray, int], ndimage.label(mask))
    sizes = np.bincount(labels.ravel())
    return [labels == k for k in range(1, count + 1) if sizes[k] >= smallest]


def _mix(colours: np.ndarray, background: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Return the share in [0, 1] of `colour` in f32[... 3], mixtures of it and background."""
    direction = colour - background
    squared = max(float(direction @ direction), 1e-6)  # 0: the background itself has this colour
    return np.clip((colours - background) @ direction / squared, 0, 1)


def _distance(
    colours: np.ndarray, background: np.ndarray, colour: np.ndarray, faintest: float
) -> np.ndarray:
    """Return the distance of f32[... 3] from mixtures with a share ≥ `faintest` of `colour`."""
    mix = np.maximum(_mix(colours, background, colour), faintest)[..., None]
    return np.linalg.norm(colours - (background + mix * (colour - background)), axis=-1)


def _distance_to_names(colours: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return the distance f32[... 8] of f32[... 3] from each of COLOURS on this background."""
    each = [_distance(colours, background, value, _FAINTEST) for value in _COLOUR_VALUES]
    return np.stack(each, axis=-1)


def _name(distances: np.ndarray, names: Iterable[str]) -> str | None:
    """Return the name with the smallest of the distances f32[n]; None if it is too far."""
    best = int(np.argmin(distances))
    return list(names)[best] if distances[best] <= _TOO_FAR else None
