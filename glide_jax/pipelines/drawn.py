"""What a pipeline gives back: pictures, and all that made each."""

import dataclasses
import re
from pathlib import Path

import numpy as np
from PIL import Image

from glide_jax.pipelines.grid import save_picture
from glide_jax.pipelines.metadata import Made, png_info


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Pictures, in the order of the prompts, those of one prompt together.

    Attributes:
        stages: uint8[n s s 3] for each stage that drew, s its size; the last are the pictures.
        made: n of them, what made each picture; saved with it.
    """

    stages: tuple[np.ndarray, ...]
    made: tuple[Made, ...]

    @property
    def arrays(self) -> np.ndarray:
        """uint8[n s s 3]."""
        return self.stages[-1]

    @property
    def images(self) -> list[Image.Image]:
        """The pictures, for Pillow; each may be the next edit's input."""
        return [Image.fromarray(picture) for picture in self.arrays]

    @property
    def prompts(self) -> list[str]:
        """Each picture's prompt."""
        return [made.prompt for made in self.made]

    @property
    def seeds(self) -> list[tuple[int, int]]:
        """(seed, i) of each picture, which with the prompt and the settings make it."""
        return [(made.seed, made.index) for made in self.made]

    def save(self, folder: str | Path) -> list[Path]:
        """Write a PNG a picture, that says what made it.

        Args:
            folder: made if it is not there; a file of the same prompt, seed and number is replaced.

        Returns:
            The files.
        """
        files = [Path(folder) / file_name(made) for made in self.made]
        for file, pixels, made in zip(files, self.arrays, self.made, strict=True):
            save_picture(pixels, file, png_info(made))
        return files


def file_name(made: Made) -> str:
    """`a-red-circle-7-0.png`: what it is of, the seed, its number."""
    what = made.prompt if made.label is None else f"class {made.label}"
    return f"{slug(what)}-{made.seed}-{made.index}.png"


def slug(prompt: str) -> str:
    """A prompt as part of a file's name."""
    return re.sub(r"\W+", "-", prompt.lower()).strip("-")[:60] or "no-prompt"
