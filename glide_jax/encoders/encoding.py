"""Captions → stored text embeddings, with progress."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

from glide_jax.config import FrozenTextConfig
from glide_jax.encoders.lazy import LazyEncoder
from glide_jax.progress import Line, TaskProgress, clock_face
from glide_jax.text.embeddings import EmbeddingStore, write_embeddings

_SHOW_EVERY_S = 20.0
"""In a log; on a terminal, and for programs, ten times as often."""


def encode_captions(
    config: FrozenTextConfig,
    captions: Iterable[str],
    folder: Path,
    process: tuple[int, int] = (0, 1),
) -> EmbeddingStore:
    """Encode the captions that a folder lacks; the encoder's memory is free again afterwards.

    Args:
        config: which encoder, and how.
        captions: any; the null caption is added.
        folder: made if it is not there.
        process: see `write_embeddings`.

    Raises:
        UserError: the encoder can't be loaded, or the folder holds another's embeddings.
        DiskError: the folder can't be written.
    """
    encoder, shown = LazyEncoder(config), _Shown(config.encoder)
    try:
        return write_embeddings(
            encoder,
            captions,
            folder,
            length=config.length,
            padding=config.padding,
            cleaning=config.cleaning,
            process=process,
            on_encoded=shown,
        )
    finally:
        shown.end()
        encoder.release()


class _Shown:
    """A progress line, every few seconds and at the end."""

    def __init__(self, name: str):
        self._name, self._line = name, Line(sys.stdout)
        self._begun: tuple[int, float] | None = None
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._begun is None:
            self._begun = done, now
        every_s = _SHOW_EVERY_S * (0.1 if self._line.shows_all else 1)
        if done < total and now - self._last < every_s:
            return
        self._last = now
        left_s = None
        text = f"{self._name}: {done:,} of {total:,} captions encoded"
        if (new := done - self._begun[0]) and done < total:
            left_s = (now - self._begun[1]) / new * (total - done)
            text += f"  {clock_face(left_s)} left"
        self._line.show(TaskProgress(self._name, done, total, "captions", left_s, text))

    def end(self) -> None:
        self._line.end()
