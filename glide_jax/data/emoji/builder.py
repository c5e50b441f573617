"""Draws the emoji data set once, as a TFDS builder."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from glide_jax.data import images, prepared
from glide_jax.data.emoji import draw, names
from glide_jax.data.source import Example

SIZES = (32, 64, 128)
_log = logging.getLogger(__name__)


@dataclasses.dataclass(kw_only=True)
class EmojiConfig(tfds.core.BuilderConfig):
    """One data set on disk.

    Attributes:
        size: the pictures' side in pixels.
        font: path of the font; "": Debian's.
    """

    size: int
    font: str


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A picture and all that it stands for: some flags are one design for several places.

    Attributes:
        image: uint8[size size 3].
        emojis: those that the font draws exactly so; skin tones only where they can be seen.
    """

    image: np.ndarray
    emojis: tuple[names.Emoji, ...]


def config(size: int, font: str) -> EmojiConfig:
    """Describe the data set of a size and a font; another font than Debian's is named in it."""
    name = str(size)
    if font:
        with open(draw.font_path(font), "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:8]
        name = f"{size}-{os.path.splitext(os.path.basename(font))[0]}-{digest}"
    return EmojiConfig(name=name, size=size, font=font, description=f"{size}×{size} pixels")


class Emoji(tfds.core.GeneratorBasedBuilder):
    """Emoji of a colour font, captioned with their names."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [config(size, "") for size in SIZES]  # noqa: RUF012

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Emoji drawn by a colour font; captions are worded from their names.",
            features=prepared.features(),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, Any]]]:
        del dl_manager  # nothing is downloaded
        assert isinstance(self.builder_config, EmojiConfig)
        emojis = names.vocabulary()
        font = draw.EmojiFont(self.builder_config.font)
        kept_back = names.kept_back(emojis)
        splits: dict[str, list[Drawing]] = {"train": [], "test": []}
        for d in drawings(font, emojis, self.builder_config.size):
            in_test = any(e.sequence in kept_back for e in d.emojis)
            splits["test" if in_test else "train"].append(d)
        # TFDS takes no empty split, and a font may have no skin tones.
        return {name: self._generate_examples(split) for name, split in splits.items() if split}

    def _generate_examples(self, drawings: Iterable[Drawing]) -> Iterator[tuple[str, Any]]:
        for d in drawings:
            captions = tuple(dict.fromkeys(c for e in d.emojis for c in names.captions(e)))
            yield d.emojis[0].sequence, prepared.record(Example(d.image, captions, {}))


def drawings(font: draw.EmojiFont, emojis: Iterable[names.Emoji], size: int) -> list[Drawing]:
    """Draw all that the font can draw; emoji that come out alike are one drawing.

    Args:
        font: draws them.
        emojis: what to draw; what the font lacks is left out and counted in the log.
        size: side in pixels.
    """
    alike: dict[bytes, list[names.Emoji]] = {}
    squares: dict[bytes, np.ndarray] = {}
    lacking = 0
    for e in emojis:
        pixels = font.draw(e.sequence)
        if pixels is None:
            lacking += 1
            continue
        digest = hashlib.sha256(pixels.tobytes()).digest()
        if digest not in squares:
            squares[digest] = images.square(pixels, size)
        alike.setdefault(digest, []).append(e)
    _log.info("%d drawings of emoji; the font lacks %d emoji", len(squares), lacking)
    return [Drawing(squares[digest], _visible(group)) for digest, group in alike.items()]


def _visible(alike: list[names.Emoji]) -> tuple[names.Emoji, ...]:
    """Of emoji that look alike, drop the skin tones if they look like no tone at all."""
    without_tone = tuple(e for e in alike if not e.tones)
    return without_tone or tuple(alike)
