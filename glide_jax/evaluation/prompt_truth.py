"""Prompt truth: of the pictures drawn from a split's captions, how many are what those assert."""

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from glide_jax import data
from glide_jax.config import Experiment
from glide_jax.errors import UserError
from glide_jax.pipelines.pipeline import Pipeline

SCORERS = {"shapes": "glide_jax.data.shapes.scorer"}
"""Data set → the module whose `score(picture: uint8[h w 3], facts)` gives a dataclass of True,
False or, where the caption asserts nothing of the kind, None."""

Scores = dict[str, dict[str, dict[str, float]]]
"""split → `guidance_G` → figure → share of pictures, of those where it could be judged."""


def has_scorer(source: str) -> bool:
    """Whether pictures of this data set ("shapes/64") can be scored."""
    return source.partition("/")[0] in SCORERS


def evaluate(pipeline: Pipeline, experiment: Experiment, say: Callable[[str], None]) -> Scores:
    """Draw each split's first captions with each guidance scale and score what comes.

    Args:
        pipeline: its last stage's pictures are scored.
        experiment: which splits, how many captions, which scales; its seed is the noise's.
        say: told each row of the result when it is there.

    Returns:
        The figures; `all` is what counts.

    Raises:
        UserError: nobody can score this data set, or it lacks a split.
    """
    scores: Scores = {}
    for split in experiment.evaluation.splits:
        exam = open_exam(experiment, split)
        scores[split] = {}
        for scale in experiment.evaluation.guidance_scales:
            drawn = pipeline(exam.captions, seed=experiment.seed, guidance_scale=scale)
            figures = scores[split][f"guidance_{scale:g}"] = exam.shares(drawn.arrays)
            shown = ", ".join(f"{figure} {share:.1%}" for figure, share in figures.items())
            say(f"{split}, guidance {scale:g}, {len(exam.captions)} captions: {shown}")
    return scores


@dataclasses.dataclass(frozen=True)
class Exam:
    """Captions, and who judges what was drawn from them.

    Attributes:
        captions: n of them.
        facts: what each asserts.
        score: of the data set, see SCORERS.
    """

    captions: list[str]
    facts: list[Mapping[str, Any]]
    score: Callable[[np.ndarray, Mapping[str, Any]], Any]

    def shares(self, pictures: np.ndarray) -> dict[str, float]:
        """Of uint8[n s s 3], a picture a caption: figure → share of those it could judge."""
        pairs = zip(pictures, self.facts, strict=True)
        return _shares([dataclasses.asdict(self.score(*pair)) for pair in pairs])


def open_exam(experiment: Experiment, split: str) -> Exam:
    """A split's first captions, as many as the experiment says; made if they are not there.

    Raises:
        UserError: nobody can score this data set, or it lacks the split.
    """
    name, path = experiment.data.source, experiment.data.path
    if not has_scorer(name):
        raise UserError(
            f"the pictures of {name!r} can't be scored: only those of {', '.join(SCORERS)} can"
        )
    data.prepare(name, path)
    source = data.open_source(name, path, split)
    count = min(experiment.evaluation.num_captions, len(source))
    examples = [source[i] for i in range(count)]
    score = importlib.import_module(SCORERS[name.partition("/")[0]]).score
    return Exam([e.captions[0] for e in examples], [e.facts for e in examples], score)


def _shares(rows: Sequence[Mapping[str, bool | None]]) -> dict[str, float]:
    shares = {}
    for figure in rows[0]:
        judged = [bool(row[figure]) for row in rows if row[figure] is not None]
        if judged:
            shares[figure] = sum(judged) / len(judged)
    return shares
