"""Prompt truth: the share of images that show what their captions assert."""

import dataclasses
import importlib

import numpy as np

from glide_jax.errors import UserError
from glide_jax.evaluation.images.image_set import ImageSet, numbered
from glide_jax.evaluation.metric import Evaluation, Result
from glide_jax.evaluation.metrics.per_image import by_category, share, summaries
from glide_jax.evaluation.prompt_sets.from_data import SCORERS, has_scorer
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.parallel.collectives import shared_out

NAME, ALL = "prompt_truth", "all"


def metric(evaluation: Evaluation) -> Result:
    """The share of images that are right in every respect, and in each respect.

    A respect, such as colour, counts the images whose captions assert something of it. The
    intervals are binomial.

    Returns:
        `prompt_truth`, and `prompt_truth_RESPECT` for each respect of the data set's scorer.

    Raises:
        UserError: the captions' data set has no scorer.
    """
    images, prompts = evaluation.images, evaluation.prompts
    assert images is not None
    assert prompts is not None
    scores = scores_of(images, prompts)
    return Result(
        values=summaries(scores, share),
        details={"captions": images.count, "source": prompts.source},
        categories=by_category(scores, prompts, share),
    )


def scores_of(images: ImageSet, prompts: PromptSet) -> dict[str, np.ndarray]:
    """Which images show what their captions assert, in every respect and in each.

    Args:
        images: n of them.
        prompts: what each is to show.

    Returns:
        `prompt_truth`, and `prompt_truth_RESPECT` of each respect: f64[n] of 0 and 1; NaN where the
        caption asserts nothing of it.

    Raises:
        UserError: the captions' data set has no scorer.
    """
    if not has_scorer(prompts.source):
        raise UserError(
            f"the prompts of {prompts.name!r} can't be checked: prompt_truth needs captions of a "
            f"data set that has a scorer, which are {', '.join(SCORERS)}; for others there is "
            "clip_score"
        )
    score = importlib.import_module(SCORERS[prompts.source.partition("/")[0]]).score
    facts, respects = prompts.facts, []

    def numbers(rows: range) -> np.ndarray:
        found = []
        for i, batch in numbered(images, rows):
            judged = [score(pixels, facts[i + k]) for k, pixels in enumerate(batch)]
            found += [dataclasses.asdict(one) for one in judged]
        respects[:] = sorted(found[0], key=lambda name: name != ALL)
        return np.array([[_number(row[respect]) for respect in respects] for row in found])

    by_image = shared_out(images.count, numbers)
    return {_name(r): by_image[:, k] for k, r in enumerate(respects)}


def _name(respect: str) -> str:
    return NAME if respect == ALL else f"{NAME}_{respect}"


def _number(judged: bool | None) -> float:
    return np.nan if judged is None else float(judged)
