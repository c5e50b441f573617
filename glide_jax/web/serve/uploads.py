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

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_BRANDS: dict[bytes, str] = dict.fromkeys(_HEIC, "HEIC")
_BRANDS |= dict.fromkeys((b"avif", b"avis"), "AVIF")
"""Brand of an ISO base media file (ISO/IEC 14496-12) → its format."""

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
    if data[4:8] == b"ftyp" and (kind := _BRANDS.get(data[8:12])):
        raise UserError(f"{kind} files are not read here: {_INSTEAD}")
    if b"<svg" in data[:2048].lower():
        raise UserError(f"SVG files have no pixels and are not read here: {_INSTEAD}")
    try:
        pixels = decode(data, "that was sent", MAX_UPLOAD_PIXELS)
    except BrokenImage as error:
        raise UserError(f"{error}; {_INSTEAD}") from error
    height, width = pixels.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
