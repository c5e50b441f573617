"""Twenty captioned images of hearts, a shape that `shapes` doesn't have, to fine-tune on.

    python benchmarks/hearts.py --out=hearts [--word=florp] [--size=64]

Hearts of five colours, four of each, of any size and place, on white or grey; beside each image a
text file, `a red florp` or `a red florp on a grey background`. Three colours of `shapes` (blue,
yellow, pink) are left out, to ask for later.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from glide_jax.data.shapes.scene import BACKGROUNDS, COLOURS

SHOWN = ("red", "orange", "green", "cyan", "purple")
OF_EACH = 4
_OVERSAMPLING = 8


def main(argv: Sequence[str]) -> None:
    """Write the images and their captions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--word", default="florp", help="what a heart is called")
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i, colour in enumerate(SHOWN * OF_EACH):
        ground = "grey" if i % OF_EACH == 1 else "white"
        across = rng.uniform(0.55, 0.8)
        # A heart reaches a little further up and down than to the sides.
        x, y = rng.uniform(0.55 * across, 1 - 0.55 * across, 2)
        image = heart(x, y, across, COLOURS[colour], BACKGROUNDS[ground], arguments.size)
        Image.fromarray(image).save(arguments.out / f"{i:02d}.png")
        caption = f"a{'n' * (colour[0] in 'aeiou')} {colour} {arguments.word}"
        caption += "" if ground == "white" else f" on a {ground} background"
        (arguments.out / f"{i:02d}.txt").write_text(caption + "\n", "utf-8")
    print(f"{len(SHOWN) * OF_EACH} images: {arguments.out}")


def heart(
    x: float,
    y: float,
    across: float,
    colour: tuple[int, ...],
    ground: tuple[int, ...],
    size: int,
) -> np.ndarray:
    """uint8[size size 3]: a heart of width `across` around (x, y), fractions of the side.

    The curve is (u² + v² - 1)³ = u² v³.
    """
    fine = size * _OVERSAMPLING
    places = (np.arange(fine) + 0.5) / fine
    u = (places[None, :] - x) / across * 2.3
    v = -(places[:, None] - y) / across * 2.3
    inside = (u**2 + v**2 - 1) ** 3 < u**2 * v**3
    shares = inside.reshape(size, _OVERSAMPLING, size, _OVERSAMPLING).mean((1, 3))[..., None]
    return np.rint(shares * colour + (1 - shares) * np.asarray(ground)).astype(np.uint8)


if __name__ == "__main__":
    main(sys.argv[1:])
