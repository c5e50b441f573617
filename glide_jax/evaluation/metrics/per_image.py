"""Metrics that are a mean over images: their intervals, and the same by category."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from glide_jax.evaluation.maths.bootstrap import mean_interval
from glide_jax.evaluation.metric import Value
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet

RESAMPLES = 1000
"""Of the bootstrap of a mean."""

_Z = 1.959964
"""Of a normal distribution, 95 % is within so many standard deviations of the mean."""

Scores = Mapping[str, np.ndarray]
"""Name of a number → f64[n], of each image; NaN where the image says nothing of it."""

Summary = Callable[[np.ndarray], Value]
"""f64[n] without NaN, n 1 or more → their mean with its interval."""


def share(values: np.ndarray) -> Value:
    """The share of ones and its 95 % interval (Wilson 1927), which is right for 0 and n of n too.

    Args:
        values: f64[n] of zeros and ones.
    """
    count, mean = len(values), float(np.mean(values))
    centre = mean + _Z**2 / (2 * count)
    half = _Z * math.sqrt(mean * (1 - mean) / count + (_Z / (2 * count)) ** 2)
    scale = 1 + _Z**2 / count
    return Value(mean, max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale))


def mean(values: np.ndarray) -> Value:
    """The mean and its 95 % bootstrap interval: f64[n] → Value."""
    return Value(*mean_interval(values, resamples=RESAMPLES, seed=0))


def summaries(scores: Scores, summary: Summary) -> dict[str, Value]:
    """Each score's summary over the images that it says something of."""
    found = {}
    for name, values in scores.items():
        known = values[~np.isnan(values)]
        if len(known):
            found[name] = summary(known)
    return found


def by_category(
    scores: Scores, prompts: PromptSet, summary: Summary
) -> dict[str, dict[str, Value]]:
    """The summaries of each category's images.

    Args:
        scores: of n images.
        prompts: n of them.
        summary: of some images.

    Returns:
        Category → name → Value; {}: there are no categories.
    """
    rows_of: Mapping[str, Sequence[int]] = prompts.rows_of()
    return {
        category: summaries({name: v[list(rows)] for name, v in scores.items()}, summary)
        for category, rows in rows_of.items()
    }
