"""What a metric of `glide-jax evaluate` is given, and what it gives."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from glide_jax.config import Experiment
from glide_jax.evaluation.feature_sets import FeatureSets
from glide_jax.evaluation.images.image_set import ImageSet
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.sampling.guides import ClipGuide
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.run import OnProgress


class Value(NamedTuple):
    """One number of a metric.

    Attributes:
        value: the number.
        low, high: its 95 % interval; None: it has none.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """What a metric gives.

    Attributes:
        values: its numbers by name.
        num_headlines: how many of them, the first ones, two models are compared by.
        details: what else belongs in the JSON: counts, how it was computed, tables.
        categories: of a prompt set's categories, the same numbers by name.
        notes: what somebody who reads the numbers must know, a line each.
    """

    values: Mapping[str, Value]
    num_headlines: int = 1
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    categories: Mapping[str, Mapping[str, Value]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def headlines(self) -> list[str]:
        """The names of the numbers that two models are compared by."""
        return list(self.values)[: self.num_headlines]


@dataclasses.dataclass(frozen=True)
class ModelSplit:
    """A model, and the part of its data set that it is evaluated on.

    Attributes:
        pipeline: the models.
        experiment: theirs; its `data` is what they are evaluated on.
        split: of the data set.
        num_images: of it; None: what the metric takes for itself.
    """

    pipeline: Pipeline
    experiment: Experiment
    split: str
    num_images: int | None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and by what. What no metric that was asked for needs may be None.

    Attributes:
        seed: of all random choices.
        on_progress: shows how far it is, see `Pipeline`; None: nobody is shown it.
        images: what is evaluated.
        prompts: what each of the images is to show.
        features: a net's, of the images and of the reference.
        clip: scores how well an image fits its caption.
        model: of metrics of a model rather than of images.
    """

    seed: int
    on_progress: OnProgress | None = None
    images: ImageSet | None = None
    prompts: PromptSet | None = None
    features: FeatureSets | None = None
    clip: ClipGuide | None = None
    model: ModelSplit | None = None


Metric = Callable[[Evaluation], Result]
"""Evaluation → Result. Raises UserError where it can't be computed. What its line in
`evaluation.registry` says that it needs is there."""
