"""Images and masks as people have them → the arrays that a stage is given.

A path, a Pillow image or an array goes in; what comes out is square, at a stage's size, and has
8 bits of colour, as the images that stages hand to each other. Here, and nowhere else, a
mask is inverted: people paint white what is to be repainted; inside, 1 is a pixel that is kept.
"""

import os
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from glide_jax.data.images import open_image, square, to_float, to_rgb, to_uint8
from glide_jax.errors import UserError
from glide_jax.storage import fetched

ImageLike = str | os.PathLike | Image.Image | np.ndarray
"""A file, a Pillow image of any mode, or an array: uint8[h w], [h w 3] or [h w 4] from 0 to 255,
or float of these shapes in [-1, 1]. A mask that is an array may also be bool[h w], or float[h w]
in [0, 1]."""

MAX_FRAME = 4
"""How much larger than an image a frame may be."""


class Frame(NamedTuple):
    """A square that may reach beyond an image, in the image's pixels.

    Attributes:
        left, top: of its corner, from the image's; negative: it begins outside.
        side: pixels a side.
    """

    left: int
    top: int
    side: int


def read_image(given: ImageLike) -> np.ndarray:
    """An image: upright, on white where it is transparent.

    Returns:
        uint8[h w 3].

    Raises:
        UserError: it can't be read, or is no image.
    """
    if isinstance(given, np.ndarray) and given.dtype.kind == "f":
        given = to_uint8(_within(-1, 1, given))
    return to_rgb(_opened(given), _name(given))


def at_size(image: np.ndarray, size: int) -> np.ndarray:
    """The image's middle square as a stage sees it.

    Args:
        image: uint8[h w 3].
        size: pixels a side.

    Returns:
        f32[1 size size 3] in [-1, 1].
    """
    return to_float(square(image, size))[None]


def read_mask(given: ImageLike, image: np.ndarray, size: int) -> np.ndarray:
    """The pixels of an image to keep, from a mask that is white where it is to be repainted.

    Grey counts as the nearer of black and white, and what is transparent as black.

    Args:
        given: of the image's shape, at any size.
        image: uint8[h w 3].
        size: pixels a side of the result, which is the middle square, as of the image.

    Returns:
        f32[1 size size 1], 1 where the pixel is KEPT, 0 where it is repainted.

    Raises:
        UserError: it can't be read, has another shape than the image, or no white.
    """
    if isinstance(given, np.ndarray) and given.dtype.kind in "bf":
        given = np.rint(255 * _within(0, 1, given)).astype(np.uint8)
    levels = Image.fromarray(to_rgb(_opened(given), _name(given), ground="black")).convert("L")
    height, width = image.shape[:2]
    # A pixel of rounding is no other shape.
    if abs(levels.width * height - levels.height * width) > max(height, width):
        raise UserError(
            f"the mask is {levels.width}×{levels.height} and the image {width}×{height}: "
            "give a mask of the image's shape"
        )
    side = min(levels.size)
    left, top = (levels.width - side) // 2, (levels.height - side) // 2
    box = (left, top, left + side, top + side)
    repainted = np.asarray(levels.resize((size, size), Image.Resampling.BOX, box)) >= 128
    if not repainted.any():
        raise UserError("the mask has no white: paint white what is to be repainted")
    return 1 - repainted.astype(np.float32)[None, :, :, None]


def opaque_pixels(given: ImageLike) -> np.ndarray | None:
    """Where an image has pixels: bool[h w], False where it is transparent; None: it never is.

    Raises:
        UserError: it can't be read.
    """
    image = ImageOps.exif_transpose(_opened(given))
    if not image.has_transparency_data:
        return None
    return np.asarray(image.convert("RGBA"))[..., 3] > 0


def framed(
    image: np.ndarray, frame: Frame, size: int, opaque: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What lies in a frame, and where that is the image.

    Args:
        image: uint8[h w 3].
        frame: at most MAX_FRAME times as large as the image's longer side.
        size: pixels a side of the mask.
        opaque: bool[h w], where the image has pixels; None: everywhere.

    Returns:
        (uint8[side side 3], the image's edges repeated outside of it; f32[1 size size 1], 1 where
        the pixel is the image alone).

    Raises:
        UserError: the frame shows nothing of the image, or is too small or too large.
    """
    (height, width), (left, top, side) = image.shape[:2], frame
    most = MAX_FRAME * max(height, width)
    if not 1 <= side <= most:
        raise UserError(f"the frame's side must be from 1 to {most} pixels, not {side}")
    if left >= width or top >= height or left + side <= 0 or top + side <= 0:
        raise UserError("the frame shows nothing of the image: move it over the image")
    rows, columns = np.arange(top, top + side), np.arange(left, left + side)
    pixels = image[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)]
    inside = np.outer((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
    if opaque is not None:
        inside &= opaque[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)]
    # BOX averages what a pixel covers, and takes in what is less than a pixel outside.
    outside = Image.fromarray(np.where(inside, 0, 255).astype(np.uint8))
    kept = np.asarray(outside.resize((size, size), Image.Resampling.BOX)) == 0
    return pixels, kept.astype(np.float32)[None, :, :, None]


class Plane(NamedTuple):
    """An image and a frame that may reach beyond it.

    Attributes:
        width, height: pixels of the smallest rectangle that holds both.
        left, top: of the image's corner in it.
        frame: in it.
        scale: how much the image is enlarged, so that no sampled pixel of the frame is lost.
    """

    width: int
    height: int
    left: int
    top: int
    frame: Frame
    scale: float


def plane_of(width: int, height: int, frame: Frame, size: int) -> Plane:
    """The plane of an image and a frame.

    Args:
        width, height: of the image, in pixels.
        frame: in the image's pixels.
        size: pixels a side that are sampled of the frame.
    """
    scale = max(1.0, size / frame.side)
    width, height = round(width * scale), round(height * scale)
    left, top, side = (round(value * scale) for value in frame)
    x, y = min(0, left), min(0, top)
    right, bottom = max(width, left + side), max(height, top + side)
    return Plane(right - x, bottom - y, -x, -y, Frame(left - x, top - y, side), scale)


def joined(
    image: np.ndarray,
    opaque: np.ndarray | None,
    frame: Frame,
    sampled: np.ndarray,
    kept: np.ndarray,
) -> np.ndarray:
    """An image with what was sampled in a frame; it grows by what of the frame lies beyond it.

    What was kept has the image's pixels, and not the sample's.

    Args:
        image: uint8[h w 3].
        opaque: bool[h w], where it has pixels; None: everywhere.
        frame: the square that was sampled, in the image's pixels.
        sampled: uint8[s s 3].
        kept: f32[1 s s 1], 1 where the image was KEPT.

    Returns:
        uint8[h' w' 4], of `plane_of`; transparent where neither image nor frame is.
    """
    height, width = image.shape[:2]
    plane = plane_of(width, height, frame, len(sampled))
    alpha = np.full((height, width), 255, np.uint8) if opaque is None else opaque * np.uint8(255)
    pixels = Image.fromarray(np.dstack([image, alpha]))
    if plane.scale > 1:
        size = round(width * plane.scale), round(height * plane.scale)
        pixels = pixels.resize(size, Image.Resampling.LANCZOS)
    whole = Image.new("RGBA", (plane.width, plane.height))
    whole.paste(pixels, (plane.left, plane.top))
    side = (plane.frame.side, plane.frame.side)
    # NEAREST: a pixel is repainted where the one that was sampled for it is.
    repainted = Image.fromarray(((1 - kept[0, :, :, 0]) * 255).astype(np.uint8))
    shown = Image.fromarray(sampled).resize(side, Image.Resampling.LANCZOS).convert("RGBA")
    corner = (plane.frame.left, plane.frame.top)
    whole.paste(shown, corner, repainted.resize(side, Image.Resampling.NEAREST))
    return np.asarray(whole)


def shrunk_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """The mask for a smaller stage: a pixel is kept where all that it covers is.

    Args:
        mask: f32[1 s s 1], 1 where the pixel is KEPT.
        size: pixels a side, a divisor of s.

    Returns:
        f32[1 size size 1].
    """
    times = mask.shape[1] // size
    return mask.reshape(1, size, times, size, times, 1).min((2, 4))


def _opened(given: ImageLike) -> Image.Image:
    if isinstance(given, Image.Image):
        return given
    if isinstance(given, str | os.PathLike):
        return open_image(fetched(given))
    if not isinstance(given, np.ndarray):
        raise UserError(
            f"an image is a file, a Pillow image or an array, not {type(given).__name__}"
        )
    if given.dtype == np.uint8 and given.ndim in (2, 3) and min(given.shape[:2]) > 0:
        if given.ndim == 2 or given.shape[2] in (3, 4):
            return Image.fromarray(given)
        if given.shape[2] == 1:
            return Image.fromarray(given[..., 0])
    raise UserError(
        f"an array of {given.dtype}{list(given.shape)} is no image: "
        "give uint8[h w 3] from 0 to 255, or float[h w 3] in [-1, 1]"
    )


def _within(low: int, high: int, array: np.ndarray) -> np.ndarray:
    # False for NaN too.
    if not (array.size and low <= array.min() and array.max() <= high):
        raise UserError(f"an array of {array.dtype} must be in [{low}, {high}], and have no NaN")
    return array.astype(np.float32)


def _name(given: Any) -> str:
    return str(given) if isinstance(given, str | os.PathLike) else "that was given"
