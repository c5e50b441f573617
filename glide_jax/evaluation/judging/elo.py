"""Elo scores of models from votes, as GLIDE computes them (arXiv 2112.10741, appendix A)."""

import math

import numpy as np
from scipy.sparse import csgraph

from glide_jax.evaluation.judging.shares import quantile
from glide_jax.evaluation.maths.intervals import Interval

POINTS_PER_DECADE = 400
"""So much higher a score means ten times the odds to win."""

_SCALE = POINTS_PER_DECADE / math.log(10)
_MAX_STEPS = 200


def expected_score(difference: np.ndarray) -> np.ndarray:
    """The probability of a win, 1 / (1 + 10^(−d / 400)), of Elo differences d; any shape."""
    return 1 / (1 + np.exp(-difference / _SCALE))


def elo_scores(points: np.ndarray) -> tuple[Interval, ...] | None:
    """Each model's Elo score, which together minimise

        L_elo = − Σ_ij A_ij log(1 / (1 + 10^((σ_j − σ_i) / 400))),

    where A_ij is how often model i beats model j, a tie being half a win of either. Only
    differences count in it; the scores' mean is 0, as that of GLIDE's, whose descent starts at 0.

    The intervals are of the sandwich estimator, with the votes of a prompt as one observation, or
    of independent votes without ties where that is wider; the quantile is Student's, as in `share`.

    Args:
        points: f64[c n n], of each prompt c the A_ij of its votes; 0 on the diagonal.

    Returns:
        n scores with their 95 % intervals, infinite ones if the votes are about one prompt. None:
        the minimum is at infinity, as some models have won, or tied, no vote against the others.
    """
    wins = points.sum(0)
    if not _is_connected(wins):
        return None
    scores = _minimise(wins)
    chances = _chances(scores)
    votes = wins + wins.T
    inverse = np.linalg.pinv(_hessian(votes, chances), hermitian=True)
    asked = points[points.sum((1, 2)) > 0]
    gradients = (asked - (asked + asked.transpose(0, 2, 1)) * chances).sum(2)
    clustered = inverse @ (gradients.T @ gradients) @ inverse
    errors = np.sqrt(np.maximum(np.diag(clustered), np.diag(inverse)))
    halves = errors * quantile(len(asked)) if len(asked) > 1 else np.full(len(errors), math.inf)
    return tuple(
        Interval(float(score), float(score - half), float(score + half))
        for score, half in zip(scores * _SCALE, halves * _SCALE, strict=True)
    )


def unbeaten(points: np.ndarray) -> list[int] | None:
    """Why there are no Elo scores: models that no others have a point against; None: there are.

    Args:
        points: as for `elo_scores`.
    """
    wins = points.sum(0)
    count, labels = _components(wins)
    if count == 1:
        return None
    for label in range(count):
        inside = labels == label
        if not wins[np.ix_(~inside, inside)].any():
            return [int(i) for i in np.flatnonzero(inside)]
    raise AssertionError("components of a graph can be put in order")


def _is_connected(wins: np.ndarray) -> bool:
    """Whether every model has points, through others, against every other (Ford 1957)."""
    return _components(wins)[0] == 1


def _components(wins: np.ndarray) -> tuple[int, np.ndarray]:
    return csgraph.connected_components(wins > 0, directed=True, connection="strong")


def _minimise(wins: np.ndarray) -> np.ndarray:
    """The scores in units of _SCALE, by Newton's method; a step is halved until it helps."""
    votes = wins + wins.T
    scores = np.zeros(len(wins))
    loss = _loss(wins, scores)
    for _ in range(_MAX_STEPS):
        chances = _chances(scores)
        gradient = (wins - votes * chances).sum(1)
        step = np.linalg.pinv(_hessian(votes, chances), hermitian=True) @ gradient
        # What is left to gain, in units of the loss.
        if gradient @ step < 1e-20 * max(1.0, loss):
            break
        while (tried := _loss(wins, scores + step)) > loss and np.abs(step).max() > 1e-15:
            step = step / 2
        scores, loss = scores + step, tried
    return scores - scores.mean()


def _loss(wins: np.ndarray, scores: np.ndarray) -> float:
    return float(np.sum(wins * np.logaddexp(0, scores[None, :] - scores[:, None])))


def _chances(scores: np.ndarray) -> np.ndarray:
    """f64[n n]: the probability that i beats j."""
    return expected_score(_SCALE * (scores[:, None] - scores[None, :]))


def _hessian(votes: np.ndarray, chances: np.ndarray) -> np.ndarray:
    weights = votes * chances * chances.T
    return np.diag(weights.sum(1)) - weights
