"""What a figure of `glide-jax evaluate` is given, and what it gives."""

import dataclasses
from collections.abc import Callable
from typing import Any

from glide_jax.config import Experiment
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.run import OnProgress


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and on how much.

    Attributes:
        pipeline: the models.
        experiment: theirs; its `data` is what they are evaluated on, its seed that of the noise.
        splits: of the data set; None: those of the config's `evaluation`.
        num_images: of each split; None: what the figure takes for itself.
        log: called with a line for each result, as soon as it is there.
        on_progress: shows how far it is, see `Pipeline`; None: nobody is shown it.
    """

    pipeline: Pipeline
    experiment: Experiment
    splits: tuple[str, ...] | None
    num_images: int | None
    log: Callable[[str], None]
    on_progress: OnProgress | None


Figure = Callable[[Evaluation], dict[str, Any]]
"""Evaluation → the entries of summary.json. Raises UserError where the figure can't be had."""
