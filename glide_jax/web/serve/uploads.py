"""Uploads: bytes of anybody → a small upright RGB image, or one sentence."""

import numpy as np
from PIL import Image

from glide_jax.data.images import BrokenImage, decode
from glide_jax.errors import UserError

MAX_UPLOAD_BYTES = 25 * 2**20
MAX_UPLOAD_PIXELS = 50_000_000
"""A photo of a large camera; 150 MB while it is decoded."""

MAX_SIDE = 1024
"""Pixels that an upload is reduced to: what is left of it is reduced to a model's size anyway."""

_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "HEIC"),
    **dict.fromkeys((b"heif", b"mif1", b"mif2", b"msf1"), "HEIF"),
}
"""Brand of an ISO base media file (ISO/IEC 14496-12) → its format; the last are of any codec."""

_INSTEAD = "save it as PNG, JPEG or WebP"


def read_upload(data: bytes) -> np.ndarray:
    """Decode what was sent.

    Args:
        data: a file of `data.images.FORMATS`, of 8 or 16 bits, rotated as its EXIF says.

    Returns:
        uint8[h w 3], at most MAX_SIDE a side, transparent parts on white.

    Raises:
        UserError: it is empty, no image, of a format that is not read, damaged or too large.
    """
    if not data:
        raise UserError("no image was sent: the body is empty")
    try:
        pixels = decode(data, "that was sent", MAX_UPLOAD_PIXELS)
    except BrokenImage as error:
        if what := _not_read(data):
            raise UserError(f"{what} are not read here: {_INSTEAD}") from error
        raise UserError(f"{error}; {_INSTEAD}") from error
    height, width = pixels.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _not_read(data: bytes) -> str | None:
    """What is no image to `decode`, and people take for one; None: it is something else."""
    if data[4:8] == b"ftyp":
        # The brand, its version, and the brands that it can be read as.
        places = (8, *range(16, min(int.from_bytes(data[:4]), 128), 4))
        brands = {data[place : place + 4] for place in places}
        kinds = [kind for brand, kind in _BRANDS.items() if brand in brands]
        return f"{kinds[0]} files" if kinds else None
    head = data[:65536].replace(b"\0", b"").lower()  # UTF-16's every other byte
    return "SVG files have no pixels and" if b"<svg" in head else None
