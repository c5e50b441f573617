"""Jobs made from a config alone, to compile and measure: no data set, tokenizer or weights."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from glide_jax.config import Experiment, TextConfig
from glide_jax.text.encoder import TextEmbedding
from glide_jax.text.reader import CaptionReader, EmbeddingReader, TokenReader
from glide_jax.training.job import Jobs
from glide_jax.training.jobs import build_jobs


@dataclasses.dataclass(frozen=True)
class _PlaceholderTokenizer:
    """Replaces the tokenizer, of which only the number of ids matters."""

    vocab_size: int
    pad_id: int = 0
    start_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()

    def encode(self, text: str) -> list[int]:
        del text
        return []

    def to_dict(self) -> dict[str, Any]:
        return {}


@dataclasses.dataclass(frozen=True)
class _PlaceholderEncoder:
    """Replaces a frozen text encoder, of which only the width matters."""

    width: int
    name: str = ""
    fingerprint: str = ""

    def encode(self, captions: Sequence[str], length: int) -> TextEmbedding:
        count = len(captions)
        embedding = np.zeros((count, length, self.width), ml_dtypes.bfloat16)
        return TextEmbedding(embedding, np.ones((count, length), bool), np.zeros(count, bool))


class _PlaceholderSource:
    """Replaces the data set, which has no examples."""

    classes: tuple[str, ...] = ()
    fingerprint = ""

    def __len__(self) -> int:
        return 0

    def __getitem__(self, i: int) -> Any:
        raise IndexError(i)

    def captions(self, i: int) -> tuple[str, ...]:
        raise IndexError(i)


def _placeholder_reader(experiment: Experiment) -> CaptionReader | None:
    config = experiment.text
    if config is None:
        return None
    if isinstance(config, TextConfig):
        return TokenReader(_PlaceholderTokenizer(config.vocab_size), config.length)
    width: int = getattr(experiment.first_stage.model, "encoder_width", 0)
    return EmbeddingReader(_PlaceholderEncoder(width), config.length, config.padding)


def planned_jobs(experiment: Experiment) -> Jobs:
    """The jobs of an experiment, to compile and measure; they can't be trained.

    The vocabulary is as large as `text.vocab_size` allows.
    """
    return build_jobs(experiment, _PlaceholderSource(), _placeholder_reader(experiment), Path())
