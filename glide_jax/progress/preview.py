"""An image in a terminal, by the protocol that it has.

kitty   the graphics protocol, https://sw.kovidgoyal.net/kitty/graphics-protocol/
iterm2  inline images, https://iterm2.com/documentation-images.html
blocks  half blocks of Unicode: two pixels a character cell, one its colour, one its ground's
"""

import base64
import io
import secrets
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image
from rich.color import Color
from rich.control import Control
from rich.segment import ControlType, Segment
from rich.style import Style

_MAX_ROWS = 32
"""Of a preview, in character cells: a 64×64 image has then all its pixels in half blocks."""

_MAX_PIXELS = 1024
"""A side of what is sent to the terminal."""

_KITTY_CHUNK = 4096
"""The most bytes of base64 in one escape sequence."""

_CONTROL = [(ControlType.CARRIAGE_RETURN,)]
"""Which codes a segment has, rich never asks; that it has some makes its width nothing."""


class Cells(NamedTuple):
    """How much of a terminal an image takes, in character cells, twice as high as wide."""

    columns: int
    rows: int


class Preview:
    """The image below the bars.

    Args:
        kind: `kitty`, `iterm2`, `blocks` or `none`.

    Attributes:
        image: uint8[h w 3]; None: there is none now.
    """

    def __init__(self, kind: str):
        self._kind = kind
        self.image: np.ndarray | None = None
        # Its own: an image of the same number would vanish from the screen's history.
        self._number = 1 + secrets.randbelow(2**31)
        self._is_shown = False

    def rendered(self, max_columns: int, max_rows: int) -> Iterator[Segment]:
        """What rich writes of it, as lines; nothing where there is no room or no image."""
        if self._is_shown and self._kind == "kitty" and self.image is None:
            # It would stay over the lines that follow; the others are characters, and erased.
            yield Segment(f"\x1b_Ga=d,d=I,q=2,i={self._number}\x1b\\", None, _CONTROL)
            self._is_shown = False
        if self.image is None or self._kind == "none" or max_rows < 1:
            return
        self._is_shown = True
        cells = fitting(self.image, max_columns, min(max_rows, _MAX_ROWS))
        if self._kind == "blocks":
            yield from blocks(self.image, cells)
            return
        encode = kitty if self._kind == "kitty" else iterm2
        sequence = encode(self.image, cells, self._number)
        # First the lines that it takes, as the terminal may have to scroll; then it, over them.
        yield from [Segment.line()] * (cells.rows - 1)
        up = Control((ControlType.CURSOR_UP, cells.rows - 1)) if cells.rows > 1 else Control()
        yield Segment(f"\x1b7{up}\r{sequence}\x1b8", None, _CONTROL)
        yield Segment(" ")
        yield Segment.line()


def fitting(image: np.ndarray, max_columns: int, max_rows: int) -> Cells:
    """The largest cells that keep the image's proportions, and at least one."""
    height, width = image.shape[:2]
    rows = min(max_rows, max_columns * height / (2 * width))
    return Cells(
        max(1, min(max_columns, round(2 * rows * width / height))), max(1, min(max_rows, int(rows)))
    )


def blocks(image: np.ndarray, cells: Cells) -> Iterator[Segment]:
    """The image as lines of half blocks: the colour is the upper pixel, the ground the lower."""
    pixels = np.asarray(_resized(image, cells.columns, 2 * cells.rows))
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        for above, below in zip(upper, lower, strict=True):
            style = Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
            yield Segment("▀", style)
        yield Segment.line()


def kitty(image: np.ndarray, cells: Cells, number: int) -> str:
    """The escape sequences that show a PNG at the cursor, which stays where it is.

    Args:
        image: uint8[h w 3].
        cells: that it is scaled to.
        number: of the image; it replaces the one that has this number already.
    """
    data = base64.standard_b64encode(_png(image)).decode()
    chunks = [data[i : i + _KITTY_CHUNK] for i in range(0, len(data), _KITTY_CHUNK)]
    # q=2: no answer, which would be taken for typing. C=1: the cursor stays.
    keys = f"a=T,f=100,q=2,C=1,i={number},p=1,c={cells.columns},r={cells.rows},"
    sequences = []
    for i, chunk in enumerate(chunks):
        more = int(i + 1 < len(chunks))
        sequences.append(f"\x1b_G{keys if i == 0 else 'q=2,'}m={more};{chunk}\x1b\\")
    return "".join(sequences)


def iterm2(image: np.ndarray, cells: Cells, number: int) -> str:
    """The escape sequence that shows a PNG at the cursor; see `kitty`. Numbers have no use."""
    data = _png(image)
    keys = f"inline=1;size={len(data)};width={cells.columns};height={cells.rows}"
    encoded = base64.standard_b64encode(data).decode()
    return f"\x1b]1337;File={keys};preserveAspectRatio=1:{encoded}\a"


def _resized(image: np.ndarray, width: int, height: int) -> Image.Image:
    """Averaged where it shrinks; its pixels stay to be seen where it grows."""
    grows = width > image.shape[1]
    how = Image.Resampling.NEAREST if grows else Image.Resampling.BOX
    return Image.fromarray(image).resize((width, height), how)


def _png(image: np.ndarray) -> bytes:
    height, width = image.shape[:2]
    if (longest := max(height, width)) > _MAX_PIXELS:
        scaled = (max(1, side * _MAX_PIXELS // longest) for side in (width, height))
        shown = _resized(image, *scaled)
    else:
        shown = Image.fromarray(image)
    file = io.BytesIO()
    shown.save(file, "PNG")
    return file.getvalue()
