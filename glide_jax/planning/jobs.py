"""Jobs without data: what there is to train, as its config says it, with nothing made or read."""

import dataclasses
from pathlib import Path
from typing import Any

from glide_jax.config import Experiment
from glide_jax.training.jobs import model_and_loss
from glide_jax.training.loop import Job
from glide_jax.training.objectives import told
from glide_jax.training.words import Words


@dataclasses.dataclass(frozen=True)
class _Wordless:
    """Stands in for the tokenizer, of which only the number of ids matters."""

    vocab_size: int
    pad_id: int = 0
    start_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()

    def encode(self, text: str) -> list[int]:
        del text
        return []

    def to_dict(self) -> dict[str, Any]:
        return {}


class _Unread:
    """Stands in for the pictures, whatever they are told of."""

    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return 0

    def __getitem__(self, i: int) -> Any:
        raise IndexError(i)

    def captions(self, i: int) -> tuple[str, ...]:
        raise IndexError(i)


def planned_jobs(experiment: Experiment) -> list[Job]:
    """The jobs of an experiment, to compile and measure; they can't be run.

    The vocabulary is as large as `text.vocab_size` allows.
    """
    source, words = _Unread(), Words(_Wordless(experiment.text.vocab_size), experiment.text.length)
    jobs = []
    for name, stage in experiment.training_stages.items():
        model, loss = model_and_loss(name, stage, experiment, words)
        tells = told(stage, source, experiment.data.source, words)
        one = Job(name, experiment, stage, model, source, words.tokenizer, Path(), loss, tells)
        jobs.append(one)
    return jobs
