"""Images side by side with their captions beneath, as one PNG."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from glide_jax.parallel.processes import by_first_process
from glide_jax.writing import atomic_path

_TILE = 160
_MARGIN = 8
_FONT_SIZE = 12
_LINE = 15
_CHARACTERS_A_LINE = 26
_COLUMNS = 8


def grid(images: np.ndarray | Sequence[np.ndarray], captions: Sequence[str]) -> Image.Image:
    """Lay images out in rows.

    Args:
        images: uint8[n s s 3]; shown about 160 pixels a side, small ones with their pixels
            still to be seen.
        captions: n of them, each under its image.

    Returns:
        An RGB image.
    """
    texts = [textwrap.wrap(caption, _CHARACTERS_A_LINE) or ["(no caption)"] for caption in captions]
    columns = min(_COLUMNS, len(texts))
    rows = -(-len(texts) // columns)
    height = _TILE + _LINE * max(map(len, texts)) + _MARGIN
    sheet = Image.new("RGB", (columns * (_TILE + _MARGIN) + _MARGIN, rows * height + _MARGIN))
    sheet.paste("white", (0, 0, *sheet.size))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for i, (pixels, lines) in enumerate(zip(images, texts, strict=True)):
        x = _MARGIN + i % columns * (_TILE + _MARGIN)
        y = _MARGIN + i // columns * height
        sheet.paste(_enlarged(pixels), (x, y))
        draw.multiline_text((x, y + _TILE + 2), "\n".join(lines), fill="black", font=font)
    return sheet


@by_first_process
def save_image(
    pixels: Image.Image | np.ndarray, path: Path, info: PngImagePlugin.PngInfo | None = None
) -> None:
    """Write a PNG, with the text chunks of info; complete or not at all.

    Of the processes of a run the first alone does.

    Raises:
        DiskError: it could not be written.
    """
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    with atomic_path(path) as part:
        image.save(part, format="PNG", pnginfo=info)


def _enlarged(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(pixels)
    kind = Image.Resampling.NEAREST if image.width < _TILE else Image.Resampling.LANCZOS
    return image.resize((_TILE, _TILE), kind)
