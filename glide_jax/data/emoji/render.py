"""Renders emoji with a colour font."""

import math
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from glide_jax.errors import UserError

DEBIAN_FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"

_FONT_SIZE = 109  # the one size of Noto's bitmaps: 136×128 pixels
_MARGIN = 4  # pixels, on each side at that size
_TYPICAL = "\U0001f600"  # 😀: as wide as all other emoji, and in every emoji font
_UNKNOWN = "\U0010fffe"  # never a character: fonts render nothing, or a box


class EmojiFont:
    """A colour-emoji font.

    Args:
        path: the font file; "": where Debian puts Noto Color Emoji.

    Raises:
        UserError: no such file, not a colour-emoji font, or Pillow has no raqm to join emoji.
    """

    def __init__(self, path: str):
        if not features.check("raqm"):
            raise UserError(
                "Pillow cannot join emoji here (no raqm): on Debian `apt-get install libfribidi0`, "
                "elsewhere a Pillow built with raqm"
            )
        self._font = _load(path)
        self._width = self._font.getlength(_TYPICAL)
        left, top, right, bottom = self._font.getbbox(_TYPICAL)
        self._side = math.ceil(max(right - left, bottom - top)) + 2 * _MARGIN
        self._origin = ((self._side - right - left) / 2, (self._side - bottom - top) / 2)
        self._unknown = self._render(_UNKNOWN)
        if self.render(_TYPICAL) is None:
            raise UserError(
                f"the font {font_path(path)} has no {_TYPICAL}: set data.path to an emoji font"
            )

    def render(self, sequence: str) -> np.ndarray | None:
        """Render an emoji on white.

        Args:
            sequence: its code points.

        Returns:
            uint8[h h 3], RGB, with the same h for all emoji of a font; None: the font lacks the
            emoji, or only has its parts.
        """
        if self._font.getlength(sequence) > 1.5 * self._width:
            return None
        pixels = self._render(sequence)
        return None if np.array_equal(pixels, self._unknown) else pixels

    def _render(self, sequence: str) -> np.ndarray:
        image = Image.new("RGB", (self._side, self._side), "white")
        ImageDraw.Draw(image).text(
            self._origin, sequence, font=self._font, fill="black", embedded_color=True
        )
        return np.asarray(image)


def font_path(path: str) -> str:
    """Return the font's path; "" becomes Debian's.

    Raises:
        UserError: there is no such file.
    """
    if os.path.isfile(path or DEBIAN_FONT):
        return path or DEBIAN_FONT
    raise UserError(
        f"no colour-emoji font at {path or DEBIAN_FONT}: `apt-get install fonts-noto-color-emoji`, "
        "or set data.path to a NotoColorEmoji.ttf"
    )


def _load(path: str) -> ImageFont.FreeTypeFont:
    path = font_path(path)
    try:
        return ImageFont.truetype(path, _FONT_SIZE, layout_engine=ImageFont.Layout.RAQM)
    except OSError as error:
        raise UserError(
            f"cannot use the font {path} ({error}): it must have colour bitmaps of size "
            f"{_FONT_SIZE}, as NotoColorEmoji.ttf has"
        ) from error
