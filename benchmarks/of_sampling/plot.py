"""A share against milliseconds, as a picture."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIZE, MARGIN = (900, 560), 70
LEGEND, LINE = 300, 19


def plot(points: Sequence[tuple[float, float, str, bool]], path: Path) -> None:
    """Draw points with their numbers, and a list of their names.

    Args:
        points: (milliseconds, share, name, whether it is of the second kind: a hollow dot).
        path: of the PNG.
    """
    image = Image.new("RGB", SIZE, "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    low, high = min(p[0] for p in points) / 1.3, max(p[0] for p in points) * 1.6
    top = min(1.0, math.ceil(10 * max(p[1] for p in points) + 0.5) / 10)
    width, height = SIZE[0] - 2 * MARGIN, SIZE[1] - 2 * MARGIN

    def place(ms: float, share: float) -> tuple[float, float]:
        along = math.log(ms / low) / math.log(high / low)
        return MARGIN + along * width, MARGIN + (1 - share / top) * height

    for share in (top * k / 5 for k in range(6)):
        y = place(low, share)[1]
        draw.line((MARGIN, y, SIZE[0] - MARGIN, y), fill="#dddddd")
        draw.text((MARGIN - 8, y), f"{share:.0%}", fill="black", font=font, anchor="rm")
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for digit in (1, 2, 5):
            ms = digit * 10.0**exponent
            if low <= ms <= high:
                x = place(ms, 0)[0]
                draw.line((x, MARGIN, x, SIZE[1] - MARGIN), fill="#dddddd")
                draw.text(
                    (x, SIZE[1] - MARGIN + 8), f"{ms:g}", fill="black", font=font, anchor="mt"
                )
    titles = {
        (MARGIN, MARGIN - 30): "all of the caption right",
        (SIZE[0] // 2, SIZE[1] - 34): "ms a picture",
    }
    for (x, y), title in titles.items():
        draw.text((x, y), title, fill="black", font=font)
    for number, (ms, share, name, hollow) in enumerate(points, 1):
        x, y = place(ms, share)
        fill = "white" if hollow else "#1f5fbf"
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=fill, outline="#1f5fbf", width=2)
        draw.text((x + 8, y - 10), str(number), fill="black", font=font, anchor="lm")
        # They lie too near each other for names.
        named = f"{number}  {name}, {ms:.3g} ms, {share:.0%}"
        at = SIZE[0] - MARGIN - LEGEND, SIZE[1] - MARGIN - LINE * (len(points) + 1 - number)
        draw.text(at, named, fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
