"""A plot of shares against milliseconds."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIZE, MARGIN = (900, 560), 70
LEGEND, LINE = 300, 19


def plot(points: Sequence[tuple[float, float, str, bool]], path: Path) -> None:
    """Plot numbered points with a list of their names.

    Args:
        points: (milliseconds, share, name, whether the dot is hollow).
        path: of the PNG to write.
    """
    image = Image.new("RGB", SIZE, "white")
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    low, high = min(p[0] for p in points) / 1.3, max(p[0] for p in points) * 1.6
    top = min(1.0, math.ceil(10 * max(p[1] for p in points) + 0.5) / 10)
    width, height = SIZE[0] - 2 * MARGIN, SIZE[1] - 2 * MARGIN

    def place(ms: float, share: float) -> tuple[float, float]:
        along = math.log(ms / low) / math.log(high / low)
        return MARGIN + along * width, MARGIN + (1 - share / top) * height

    for share in (top * k / 5 for k in range(6)):
        y = place(low, share)[1]
        canvas.line((MARGIN, y, SIZE[0] - MARGIN, y), fill="#dddddd")
        canvas.text((MARGIN - 8, y), f"{share:.0%}", fill="black", font=font, anchor="rm")
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for digit in (1, 2, 5):
            ms = digit * 10.0**exponent
            if low <= ms <= high:
                x = place(ms, 0)[0]
                canvas.line((x, MARGIN, x, SIZE[1] - MARGIN), fill="#dddddd")
                canvas.text(
                    (x, SIZE[1] - MARGIN + 8), f"{ms:g}", fill="black", font=font, anchor="mt"
                )
    titles = {
        (MARGIN, MARGIN - 30): "share of completely correct images",
        (SIZE[0] // 2, SIZE[1] - 34): "ms per image",
    }
    for (x, y), title in titles.items():
        canvas.text((x, y), title, fill="black", font=font)
    for number, (ms, share, name, hollow) in enumerate(points, 1):
        x, y = place(ms, share)
        fill = "white" if hollow else "#1f5fbf"
        canvas.ellipse((x - 5, y - 5, x + 5, y + 5), fill=fill, outline="#1f5fbf", width=2)
        canvas.text((x + 8, y - 10), str(number), fill="black", font=font, anchor="lm")
        # The points are too close together for names.
        named = f"{number}  {name}, {ms:.3g} ms, {share:.0%}"
        at = SIZE[0] - MARGIN - LEGEND, SIZE[1] - MARGIN - LINE * (len(points) + 1 - number)
        canvas.text(at, named, fill="black", font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
