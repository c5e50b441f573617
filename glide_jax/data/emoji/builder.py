"""The TFDS builder that renders the emoji data set, once."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from glide_jax.data import images, prepared
from glide_jax.data.emoji import names, render
from glide_jax.data.source import Example

SIZES = (32, 64, 128)
_log = logging.getLogger(__name__)


@dataclasses.dataclass(kw_only=True)
class EmojiConfig(tfds.core.BuilderConfig):
    """One data set on disk.

    Attributes:
        size: the images' side in pixels.
        font: path of the font; "": Debian's.
    """

    size: int
    font: str


@dataclasses.dataclass(frozen=True)
class Glyph:
    """A rendered emoji; several emoji may share one, as some flags do.

    Attributes:
        image: uint8[size size 3], RGB.
        emojis: those that the font renders so, with a skin tone only if the tone can be seen.
    """

    image: np.ndarray
    emojis: tuple[names.Emoji, ...]


def config(size: int, font: str) -> EmojiConfig:
    """Return the config of a size and a font; its name contains any font other than Debian's."""
    name = str(size)
    if font:
        with open(render.font_path(font), "rb") as file:
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
            description="Emoji rendered with a colour font; captions are made from their names.",
            features=prepared.features(),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, Any]]]:
        del dl_manager  # nothing is downloaded
        assert isinstance(self.builder_config, EmojiConfig)
        emojis = names.vocabulary()
        font = render.EmojiFont(self.builder_config.font)
        held_out = names.held_out(emojis)
        splits: dict[str, list[Glyph]] = {"train": [], "test": []}
        for glyph in render_glyphs(font, emojis, self.builder_config.size):
            in_test = any(e.sequence in held_out for e in glyph.emojis)
            splits["test" if in_test else "train"].append(glyph)
        # TFDS refuses empty splits, and a font may have no skin tones.
        return {name: self._generate_examples(split) for name, split in splits.items() if split}

    def _generate_examples(self, glyphs: Iterable[Glyph]) -> Iterator[tuple[str, Any]]:
        for glyph in glyphs:
            captions = tuple(dict.fromkeys(c for e in glyph.emojis for c in names.captions(e)))
            yield glyph.emojis[0].sequence, prepared.record(Example(glyph.image, captions, {}))


def render_glyphs(font: render.EmojiFont, emojis: Iterable[names.Emoji], size: int) -> list[Glyph]:
    """Render emoji; those that the font renders to the same image share one glyph.

    Args:
        font: the font.
        emojis: what to render; those that the font lacks are left out and counted in the log.
        size: the images' side in pixels.
    """
    alike: dict[bytes, list[names.Emoji]] = {}
    squares: dict[bytes, np.ndarray] = {}
    lacking = 0
    for e in emojis:
        pixels = font.render(e.sequence)
        if pixels is None:
            lacking += 1
            continue
        digest = hashlib.sha256(pixels.tobytes()).digest()
        if digest not in squares:
            squares[digest] = images.square(pixels, size)
        alike.setdefault(digest, []).append(e)
    _log.info("%d glyphs of emoji; the font lacks %d emoji", len(squares), lacking)
    return [Glyph(squares[digest], _visible(group)) for digest, group in alike.items()]


def _visible(alike: list[names.Emoji]) -> tuple[names.Emoji, ...]:
    """Drop the emoji with a skin tone if one without a tone looks the same."""
    without_tone = tuple(e for e in alike if not e.tones)
    return without_tone or tuple(alike)
