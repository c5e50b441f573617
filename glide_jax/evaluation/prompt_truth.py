"""Prompt truth: the share of a split's captions whose samples show what the caption asserts."""

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from glide_jax import data
from glide_jax.config import EvaluationConfig, Experiment
from glide_jax.errors import UserError
from glide_jax.evaluation.figure import Evaluation
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.run import OnProgress

SCORERS = {"shapes": "glide_jax.data.shapes.scorer"}
"""Data set → the module whose `score(image: uint8[h w 3], facts)` gives a dataclass of True,
False or, where the caption asserts nothing of the kind, None."""

_PROGRESS_EVERY = 10
"""Steps between two calls of on_progress."""

Scores = dict[str, dict[str, dict[str, float]]]
"""split → `guidance_G` → figure → share of images, of those where it could be judged."""


def has_scorer(source: str) -> bool:
    """Whether images of this data set ("shapes/64") can be scored."""
    return source.partition("/")[0] in SCORERS


def figure(evaluation: Evaluation) -> dict[str, Any]:
    """The scores of `evaluate`, for `glide-jax evaluate`."""
    experiment = evaluation.experiment
    settings = _settings(experiment)
    settings = dataclasses.replace(
        settings,
        splits=evaluation.splits or settings.splits,
        num_captions=(
            settings.num_captions if evaluation.num_images is None else evaluation.num_images
        ),
    )
    experiment = dataclasses.replace(experiment, evaluation=settings)
    log, on_progress = evaluation.log, evaluation.on_progress
    return {"scores": evaluate(evaluation.pipeline, experiment, log, on_progress)}


def evaluate(
    pipeline: Pipeline,
    experiment: Experiment,
    log: Callable[[str], None],
    on_progress: OnProgress | None = None,
) -> Scores:
    """Sample each split's first captions with each guidance scale and score the images.

    Args:
        pipeline: its last stage's images are scored.
        experiment: its `evaluation` says which splits, scales and how many captions; its seed is
            that of the noise.
        log: called with a line for each result, as soon as it is there.
        on_progress: see `Pipeline`; None: nobody is shown the progress.

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
            output = pipeline(
                evaluation_set.captions,
                seed=experiment.seed,
                guidance_scale=scale,
                on_progress=on_progress,
                progress_every=_PROGRESS_EVERY,
            )
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
            f"data set {name!r} has no scorer; the data sets that have one: {', '.join(SCORERS)}. "
            "A figure of any data set: --figure bits_per_dim"
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
            "the config has no section 'evaluation', which scores samples of captions; a figure of "
            "any model: --figure bits_per_dim"
        )
    return experiment.evaluation


def _shares(rows: Sequence[Mapping[str, bool | None]]) -> dict[str, float]:
    shares = {}
    for figure in rows[0]:
        judged = [bool(row[figure]) for row in rows if row[figure] is not None]
        if judged:
            shares[figure] = sum(judged) / len(judged)
    return shares
