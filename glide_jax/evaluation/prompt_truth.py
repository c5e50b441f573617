"""Prompt truth: of the pictures drawn from a split's captions, how many are what those assert."""

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glide_jax import data
from glide_jax.config import Experiment
from glide_jax.errors import UserError
from glide_jax.pipelines.cascade import draw_pictures
from glide_jax.pipelines.stage import Stage

SCORERS = {"shapes": "glide_jax.data.shapes.scorer"}
"""Data set → the module whose `score(picture: uint8[h w 3], facts)` gives a dataclass of True,
False or, where the caption asserts nothing of the kind, None."""

Scores = dict[str, dict[str, dict[str, float]]]
"""split → `guidance_G` → figure → share of pictures, of those where it could be judged."""


def has_scorer(source: str) -> bool:
    """Whether pictures of this data set ("shapes/64") can be scored."""
    return source.partition("/")[0] in SCORERS


def evaluate(stages: Sequence[Stage], experiment: Experiment, say: Callable[[str], None]) -> Scores:
    """Draw each split's first captions with each guidance scale and score what comes.

    Args:
        stages: the base model's, then the upsamplers'; the last one's pictures are scored.
        experiment: which splits, how many captions, which scales; its seed is the noise's.
        say: told each row of the result when it is there.

    Returns:
        The figures; `all` is what counts.

    Raises:
        UserError: nobody can score this data set, or it lacks a split.
    """
    name = experiment.data.source
    if not has_scorer(name):
        raise UserError(
            f"the pictures of {name!r} can't be scored: only those of {', '.join(SCORERS)} can"
        )
    score = importlib.import_module(SCORERS[name.partition("/")[0]]).score
    data.prepare(name, experiment.data.path)
    scores: Scores = {}
    for split in experiment.evaluation.splits:
        captions, facts = _asked(experiment, split)
        scores[split] = {}
        for scale in experiment.evaluation.guidance_scales:
            pictures = draw_pictures(stages, captions, seed=experiment.seed, guidance_scale=scale)[
                -1
            ]
            rows = [dataclasses.asdict(score(*pair)) for pair in zip(pictures, facts, strict=True)]
            figures = scores[split][f"guidance_{scale:g}"] = _shares(rows)
            shown = ", ".join(f"{figure} {share:.1%}" for figure, share in figures.items())
            say(f"{split}, guidance {scale:g}, {len(rows)} captions: {shown}")
    return scores


def _asked(experiment: Experiment, split: str) -> tuple[list[str], list[Mapping[str, Any]]]:
    source = data.open_source(experiment.data.source, experiment.data.path, split)
    count = min(experiment.evaluation.num_captions, len(source))
    examples = [source[i] for i in range(count)]
    return [e.captions[0] for e in examples], [e.facts for e in examples]


def _shares(rows: Sequence[Mapping[str, bool | None]]) -> dict[str, float]:
    shares = {}
    for figure in rows[0]:
        judged = [bool(row[figure]) for row in rows if row[figure] is not None]
        if judged:
            shares[figure] = sum(judged) / len(judged)
    return shares
