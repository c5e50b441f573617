"""The shape of a blob: that of the rendered template with the best overlap.

Blobs and templates are normalised to one frame, centroid at (0, 0) and area 1, so that there is no
search over position and size. The templates of a shape are rotated, stretched and blurred a little:
a sample need not be perfect to be recognised, and an image enlarged from 16×16 is blurred.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from glide_jax.data.shapes.render import coverage
from glide_jax.data.shapes.scene import SHAPES

_OVERLAP_NEEDED = {
    "circle": 0.84,
    "square": 0.78,
    "triangle": 0.75,
    "star": 0.70,
    "cross": 0.70,
    "ring": 0.66,
}
"""The least overlap with which a blob counts as the shape.

Thin shapes get the least, as small errors cost them most; a diamond fits a circle quite well.
"""

_SIDE = 32  # pixels of the frame
_HALF = 1.25  # the frame reaches from −_HALF to _HALF, in units of sqrt(area)
_FINE = 96  # pixels of the rendering that a template is made from, 2 diameters wide
_ROTATIONS = (-0.2, 0.0, 0.2)  # radians
_STRETCHES = (0.85, 1.0, 1.18)  # width over height
_BLURS = (0.0, 0.06, 0.12)  # σ in diameters; the last is a small shape rendered at 16×16


class Match(NamedTuple):
    """The best template for a blob.

    Attributes:
        shape: the shape with the best overlap; None if the overlap is too small for it.
        overlap: Σ min / Σ max of blob and template, in [0, 1].
        across: the diameter in pixels of the best shape with the blob's area.
    """

    shape: str | None
    overlap: float
    across: float


def match_shape(alpha: np.ndarray) -> Match:
    """Match a blob against every template.

    Args:
        alpha: f32[h w] in [0, 1], how much of each pixel the blob covers; not all 0.
    """
    frames, shapes, areas = _templates()
    blob = _normalised(alpha)[None]
    overlaps = np.minimum(frames, blob).sum(axis=1) / np.maximum(frames, blob).sum(axis=1)
    best = int(np.argmax(overlaps))
    shape, overlap = shapes[best], float(overlaps[best])
    across = float(np.sqrt(alpha.sum() / areas[best]))
    return Match(shape if overlap >= _OVERLAP_NEEDED[shape] else None, overlap, across)


def strongest(contrast: np.ndarray) -> np.ndarray:
    """Return which pixels of a blob show its pure colour.

    Args:
        contrast: f[n], the distance of each pixel's colour from the background.

    Returns:
        bool[n].
    """
    return contrast >= 0.75 * np.quantile(contrast, 0.9)


def centroid(alpha: np.ndarray) -> tuple[float, float]:
    """Return the centre of mass (row, column) of f32[h w], not all 0; the first pixel is (0, 0)."""
    rows, columns = alpha.sum(axis=1), alpha.sum(axis=0)
    area = float(rows.sum())
    return (
        float(rows @ np.arange(len(rows))) / area,
        float(columns @ np.arange(len(columns))) / area,
    )


@functools.cache
def _templates() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return (frames f32[n _SIDE²], the shape of each, its area f32[n] at diameter 1)."""
    axis = (np.arange(_FINE) + 0.5) / _FINE * 2 - 1
    frames, shapes, areas = [], [], []
    for shape, rotation, stretch in itertools.product(SHAPES, _ROTATIONS, _STRETCHES):
        x = (np.cos(rotation) * axis[None, :] + np.sin(rotation) * axis[:, None]) / np.sqrt(stretch)
        y = (np.cos(rotation) * axis[:, None] - np.sin(rotation) * axis[None, :]) * np.sqrt(stretch)
        sharp = coverage(shape, x, y, _FINE / 2)
        for blur in _BLURS:
            soft = ndimage.gaussian_filter(sharp, blur * _FINE / 2, mode="constant")
            # `reading` takes a blob's strongest pixels for its pure colour, however blurred.
            visible = soft[soft > 0.2]
            soft = np.minimum(soft / np.median(visible[strongest(visible)]), 1)
            frames.append(_normalised(soft))
            shapes.append(shape)
            areas.append(soft.sum() * (2 / _FINE) ** 2)
    return np.stack(frames), shapes, np.array(areas)


def _normalised(alpha: np.ndarray) -> np.ndarray:
    """Resample a blob into the frame: f32[_SIDE²], centroid in the middle, area 1."""
    row, column = centroid(alpha)
    reach = ((np.arange(_SIDE) + 0.5) / _SIDE * 2 - 1) * _HALF * np.sqrt(alpha.sum())
    rows, columns = np.meshgrid(row + reach, column + reach, indexing="ij")
    return ndimage.map_coordinates(alpha, (rows, columns), np.float32, order=1).ravel()
