"""From the bytes of a picture file to the square array a model sees, and back."""

import contextlib
import io
import os

import numpy as np
from PIL import Image, ImageOps

from glide_jax.errors import UserError, one_line

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What Pillow may open. Not its whole list: some readers start other programs (EPS)."""

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
)
"""The file names, in lower case, that promise one of FORMATS."""

MAX_PIXELS = 2**27
"""Larger pictures are refused before they are decoded: 134 megapixels are 400 MB of RGB."""


class BrokenImage(UserError):
    """A picture that cannot be read; the message names it."""


def decode(data: bytes, name: str) -> np.ndarray:
    """Decode a picture file: upright (EXIF), on white where transparent, 8 bits a channel.

    Args:
        data: the file's bytes, in one of FORMATS; of an animation the first frame counts.
        name: what to call it in an error.

    Returns:
        uint8[h w 3], RGB.

    Raises:
        BrokenImage: not a picture, broken, cut off, or larger than MAX_PIXELS.
    """
    return np.asarray(_guarded(lambda: _rgb(_open(io.BytesIO(data)), "white"), name))


def to_rgb(image: Image.Image, name: str, ground: str = "white") -> np.ndarray:
    """A Pillow picture as `decode` would give its file.

    Args:
        image: in any of Pillow's modes.
        name: what to call it in an error.
        ground: the colour that lies behind what is transparent.

    Returns:
        uint8[h w 3], RGB.

    Raises:
        BrokenImage: broken, or cut off.
    """
    return np.asarray(_guarded(lambda: _rgb(image, ground), name))


def open_picture(path: str | os.PathLike) -> Image.Image:
    """Open a picture file; its pixels are read when they are asked for.

    Raises:
        BrokenImage: not there, not a picture, or larger than MAX_PIXELS.
    """
    return _guarded(lambda: _open(path), os.fspath(path))


def check(path: str, name: str) -> None:
    """Find out whether a picture file would decode, without decoding it where that can be told.

    Raises:
        BrokenImage: as decode.
    """
    with open(path, "rb") as file:
        if not _guarded(lambda: _is_whole(file), name):
            file.seek(0)
            decode(file.read(), name)


def square(image: np.ndarray, size: int) -> np.ndarray:
    """Crop the middle square and resize it, anti-aliased, to size × size.

    Shrinking by a whole number averages boxes (no ringing); anything else is Lanczos.

    Args:
        image: uint8[h w 3].
        size: pixels.

    Returns:
        uint8[size size 3].
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(image)
    picture = Image.fromarray(np.ascontiguousarray(image))
    if side % size == 0:
        return np.asarray(picture.reduce(side // size))
    return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS))


def to_float(image: np.ndarray) -> np.ndarray:
    """Map uint8 0 … 255 to float32 in [-1, 1]; any shape."""
    return image.astype(np.float32) * np.float32(2 / 255) - np.float32(1)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Map float [-1, 1] to uint8 0 … 255, rounded; what lies outside is clipped. Any shape."""
    return np.rint((np.clip(image, -1, 1) + 1) * 127.5).astype(np.uint8)


def encode_png(image: np.ndarray) -> bytes:
    """Encode uint8[h w 3] as PNG, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _guarded(read, name: str):
    try:
        return read()
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise whatever broken bytes lead them to.
        reason = getattr(error, "strerror", None) or one_line(error)
        # Pillow's own words name the Python object that held the bytes; the file's name is said.
        reason = "not a picture file" if "cannot identify" in reason else reason
        raise BrokenImage(f"cannot read the picture {name}: {reason}") from error


def _open(file) -> Image.Image:
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width}×{image.height} is more than {MAX_PIXELS} pixels")
    return image


def _rgb(image: Image.Image, ground: str) -> Image.Image:
    image.load()
    # A picture whose EXIF is garbage is still a picture; it stays as it lies.
    with contextlib.suppress(Exception):
        image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion clips 16 bits at 255 where it should scale.
        levels = np.clip(np.asarray(image).astype(np.int32), 0, 65535)
        image = Image.fromarray(np.rint(levels / 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, ground), image)
    return image.convert("RGB")


def _is_whole(file) -> bool:
    """Whether the header is sound and the end is there; False: only decoding can tell."""
    image = _open(file)
    if image.format == "PNG":
        image.verify()  # the checksum of every chunk, up to the last
        return True
    if image.format in ("JPEG", "MPO"):
        file.seek(-2, os.SEEK_END)
        return file.read() == b"\xff\xd9"
    return False
