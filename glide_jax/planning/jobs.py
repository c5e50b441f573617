"""Jobs made from a config alone, to compile and measure: no data set, tokenizer or weights."""

import dataclasses
from pathlib import Path
from typing import Any

from glide_jax.config import Experiment
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


def planned_jobs(experiment: Experiment) -> Jobs:
    """The jobs of an experiment, to compile and measure; they can't be trained.

    The vocabulary is as large as `text.vocab_size` allows.
    """
    tokenizer = _PlaceholderTokenizer(experiment.text.vocab_size) if experiment.text else None
    return build_jobs(experiment, _PlaceholderSource(), tokenizer, Path())
