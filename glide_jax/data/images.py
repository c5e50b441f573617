"""From the bytes of an image file to the square array that a model gets, and back."""

import contextlib
import io
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from glide_jax.errors import UserError, one_line
from glide_jax.storage import is_in_bucket, storage_path

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""The formats that Pillow may open; not all that it can, as some start other programs (EPS)."""

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
)
"""Suffixes, in lower case, of files in one of FORMATS."""

MAX_PIXELS = 2**27
"""Larger images are refused before they are decoded: 134 megapixels are 400 MB of RGB."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")


class BrokenImage(UserError):
    """An image can't be read; the message names it."""


class Unavailable(BrokenImage):
    """An image can't be read now: what holds it doesn't answer, and may later."""


def decode(data: bytes, name: str, max_pixels: int | None = None) -> np.ndarray:
    """Decode an image file, rotated as its EXIF says, transparent parts on white.

    Args:
        data: the file's bytes, in one of FORMATS; of an animation, the first frame is decoded.
        name: of the image, for errors.
        max_pixels: a larger image is refused before it is decoded; None: MAX_PIXELS.

    Returns:
        uint8[h w 3], RGB.

    Raises:
        BrokenImage: not an image, damaged, cut off, or too large.
    """
    pixels = io.BytesIO(_without_text(data))
    return np.asarray(_guarded(lambda: _rgb(_open(pixels, max_pixels), "white"), name))


def to_rgb(image: Image.Image, name: str, ground: str = "white") -> np.ndarray:
    """Convert a Pillow image as `decode` does.

    Args:
        image: in any of Pillow's modes; of a file, its pixels may not be read yet.
        name: of the image, for errors.
        ground: the background colour of transparent parts.

    Returns:
        uint8[h w 3], RGB.

    Raises:
        BrokenImage: damaged, or cut off.
    """
    try:
        return np.asarray(_guarded(lambda: _rgb(image, ground), name))
    except BrokenImage as error:
        path = getattr(image, "filename", "")
        if not path or not _may_be_text(error):
            raise
        # The texts come after the pixels.
        return np.asarray(_guarded(lambda: _rgb(_open_without_text(path), ground), name))


def open_image(path: str | os.PathLike) -> Image.Image:
    """Open an image file; its pixels are read later, on demand.

    Raises:
        BrokenImage: no such file, not an image, or larger than MAX_PIXELS.
    """
    name = str(path)
    try:
        return _guarded(lambda: _open(_file_of(path)), name)
    except BrokenImage as error:
        if not _may_be_text(error):
            raise
        return _guarded(lambda: _open_without_text(path), name)


def check(path: str, name: str) -> None:
    """Check that an image file can be decoded, without decoding it if its format allows that.

    Raises:
        BrokenImage: as for `decode`.
    """
    with open(path, "rb") as file:
        try:
            is_complete = _guarded(lambda: _is_complete(file), name)
        except BrokenImage as error:
            if not _may_be_text(error):
                raise
            file.seek(0)
            without_text = io.BytesIO(_without_text(file.read()))
            is_complete = _guarded(lambda: _is_complete(without_text), name)
        if not is_complete:
            file.seek(0)
            decode(file.read(), name)


def square(image: np.ndarray, size: int) -> np.ndarray:
    """Crop the central square and resize it, antialiased, to size × size.

    Shrinking by an integer factor averages boxes (no ringing); all else is Lanczos resampling.

    Args:
        image: uint8[h w 3].
        size: in pixels.

    Returns:
        uint8[size size 3].
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(image)
    resizable = Image.fromarray(np.ascontiguousarray(image))
    if side % size == 0:
        return np.asarray(resizable.reduce(side // size))
    return np.asarray(resizable.resize((size, size), Image.Resampling.LANCZOS))


def to_float(image: np.ndarray) -> np.ndarray:
    """Map uint8 0 … 255 to float32 in [-1, 1]; any shape."""
    return image.astype(np.float32) * np.float32(2 / 255) - np.float32(1)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Map float [-1, 1] to uint8 0 … 255, rounded and clipped; any shape."""
    return np.rint((np.clip(image, -1, 1) + 1) * 127.5).astype(np.uint8)


def encode_png(image: np.ndarray) -> bytes:
    """Encode uint8[h w 3] as PNG, losslessly."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _guarded(read, name: str):
    try:
        return read()
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes make Pillow raise errors of any type.
        reason = getattr(error, "strerror", None) or one_line(error)
        # Pillow's message names a Python object, where ours names the file.
        reason = "not an image file" if "cannot identify" in reason else reason
        raise BrokenImage(f"cannot read the image {name}: {reason}") from error


def _open(file, max_pixels: int | None = None) -> Image.Image:
    image = Image.open(file, formats=FORMATS)
    most = MAX_PIXELS if max_pixels is None else max_pixels
    if image.width * image.height > most:
        raise ValueError(f"{image.width}×{image.height} is more than {most} pixels")
    return image


def _open_without_text(path: str | os.PathLike) -> Image.Image:
    return _open(io.BytesIO(_without_text(storage_path(path).read_bytes())))


def _file_of(path: str | os.PathLike) -> Any:
    """What Pillow opens: the path, or all of the object in a bucket."""
    if isinstance(path, Path) and is_in_bucket(path):
        return io.BytesIO(path.read_bytes())
    if stat.S_ISFIFO(os.stat(path).st_mode):  # to open it would wait for whoever writes
        raise OSError("it is a pipe; give a file")
    return path


def _rgb(image: Image.Image, ground: str) -> Image.Image:
    image.load()
    # An image with damaged EXIF data is not rotated.
    with contextlib.suppress(Exception):
        image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion clips 16 bits at 255 where it should scale.
        levels = np.clip(np.asarray(image).astype(np.int32), 0, 65535)
        image = Image.fromarray(np.rint(levels / 257).astype(np.uint8))
    if image.mode == "F":
        image = _from_float(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, ground), image)
    return image.convert("RGB")


def _from_float(image: Image.Image) -> Image.Image:
    """Convert floating-point grey levels, 0 … 1 or 0 … 255, to 8 bits."""
    levels = np.asarray(image)
    low, high = float(levels.min()), float(levels.max())
    if not 0 <= low <= high <= 255:  # or NaN
        raise ValueError(
            f"its floating-point pixels are {low:g} to {high:g}; save them as 0 to 1, or as 8 bits"
        )
    return Image.fromarray(np.rint(levels * (255 if high <= 1 else 1)).astype(np.uint8))


def _may_be_text(error: BrokenImage) -> bool:
    """Return whether an image may be refused because of a PNG's large texts."""
    return isinstance(error.__cause__, ValueError)


def _without_text(data: bytes) -> bytes:
    """Return a PNG without its texts and colour profile, which Pillow refuses if they are large.

    All other data are returned as they are, PNGs that are cut off or damaged as well.
    """
    if not data.startswith(_PNG_SIGNATURE):
        return data
    chunks, start = [_PNG_SIGNATURE], len(_PNG_SIGNATURE)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4])  # length, type and checksum
        if data[start + 4 : start + 8] not in _TEXT_CHUNKS:
            chunks.append(data[start:end])
        start = end
    return b"".join(chunks)


def _is_complete(file) -> bool:
    """Return whether header and end of the file are intact; False: only decoding can show it."""
    image = _open(file)
    if image.format == "PNG":
        image.verify()  # the checksum of every chunk, up to the last
        return True
    if image.format in ("JPEG", "MPO"):
        file.seek(-2, os.SEEK_END)
        return file.read() == b"\xff\xd9"
    return False
