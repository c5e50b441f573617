"""Prompt truth: the share of a split's captions whose samples show what the caption asserts."""

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from glide_jax import data
from glide_jax.config import EvaluationConfig, Experiment
from glide_jax.errors import UserError
from glide_jax.sampling.pipeline import Pipeline

SCORERS = {"shapes": "glide_jax.data.shapes.scorer"}
"""Data set → the module whose `score(image: uint8[h w 3], facts)` gives a dataclass of True,
False or, where the caption asserts nothing of the kind, None."""

Scores = dict[str, dict[str, dict[str, float]]]
"""split → `guidance_G` → figure → share of images, of those where it could be judged."""


def has_scorer(source: str) -> bool:
    """Whether images of this data set ("shapes/64") can be scored."""
    return source.partition("/")[0] in SCORERS


def evaluate(pipeline: Pipeline, experiment: Experiment, log: Callable[[str], None]) -> Scores:
    """Sample each split's first captions with each guidance scale and score the images.

    Args:
        pipeline: its last stage's images are scored.
        experiment: its `evaluation` says which splits, scales and how many captions; its seed is
            that of the noise.
        log: called with a line for each result, as soon as it is there.

    Returns:
        The figures; `all` is the share of images that are right in every respect.

    Raises:
        UserError: the data set has no scorer, or lacks a split.
    """
    scores: Scores = {}
    settings = _settings(experiment)
    for split in settings.splits:
        evaluation_set = open_evaluation_set(experiment, split)
        scores[split] = {}
        for scale in settings.guidance_scales:
            output = pipeline(evaluation_set.captions, seed=experiment.seed, guidance_scale=scale)
            figures = scores[split][f"guidance_{scale:g}"] = evaluation_set.shares(output.arrays)
            shown = ", ".join(f"{figure} {share:.1%}" for figure, share in figures.items())
            log(f"{split}, guidance {scale:g}, {len(evaluation_set.captions)} captions: {shown}")
    return scores


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """Captions, and what scores the images sampled from them.

    Attributes:
        captions: n of them.
        facts: what each caption asserts.
        score: the data set's scorer, see SCORERS.
    """

    captions: list[str]
    facts: list[Mapping[str, Any]]
    score: Callable[[np.ndarray, Mapping[str, Any]], Any]

    def shares(self, images: np.ndarray) -> dict[str, float]:
        """Figure → share of the images that it applies to, of uint8[n s s 3], one per caption."""
        pairs = zip(images, self.facts, strict=True)
        return _shares([dataclasses.asdict(self.score(*pair)) for pair in pairs])


def open_evaluation_set(experiment: Experiment, split: str) -> EvaluationSet:
    """A split's first captions, as many as the experiment says; the data set is made if missing.

    Raises:
        UserError: the data set has no scorer, or lacks the split.
    """
    name, path = experiment.data.source, experiment.data.path
    if not has_scorer(name):
        raise UserError(
            f"data set {name!r} has no scorer; the data sets that have one: {', '.join(SCORERS)}"
        )
    data.prepare(name, path)
    source = data.open_source(name, path, split)
    count = min(_settings(experiment).num_captions, len(source))
    examples = [source[i] for i in range(count)]
    score = importlib.import_module(SCORERS[name.partition("/")[0]]).score
    return EvaluationSet([e.captions[0] for e in examples], [e.facts for e in examples], score)


def _settings(experiment: Experiment) -> EvaluationConfig:
    if experiment.evaluation is None:
        raise UserError(
            "the config has no section 'evaluation'; add one, as in configs/quickstart.py"
        )
    return experiment.evaluation


def _shares(rows: Sequence[Mapping[str, bool | None]]) -> dict[str, float]:
    shares = {}
    for figure in rows[0]:
        judged = [bool(row[figure]) for row in rows if row[figure] is not None]
        if judged:
            shares[figure] = sum(judged) / len(judged)
    return shares
