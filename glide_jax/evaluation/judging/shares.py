"""Shares and their intervals, of votes of which several are about one prompt."""

import math

import numpy as np
from scipy import special

from glide_jax.evaluation.maths.intervals import LEVEL, Interval


def share(points: np.ndarray, counts: np.ndarray) -> Interval:
    """The mean score of votes: a win rate, where a tie is half a win, or a mean rating.

    Wilson's interval (1927) for the number of votes that would say as much if each were about a
    prompt of its own,

        n_eff = min(n, p (1 − p) / v),   v = Σ_c (s_c − p n_c)² / n²,

    where s_c and n_c are the scores and votes of prompt c: several votes about one prompt agree
    more than votes about several. Of one vote a prompt, without ties, it is Wilson's own. Ties make
    it wider than it need be. The quantile is Student's, of C − 1 degrees of freedom for C prompts.

    Args:
        points: f64[c], each prompt's sum of scores; a vote's score is in [0, 1].
        counts: f64[c], each prompt's votes.

    Returns:
        The share and its interval, in [0, 1]; of votes about fewer than two prompts [0, 1].

    Raises:
        ValueError: there are no votes.
    """
    asked = counts > 0
    points, counts = points[asked], counts[asked]
    n = float(counts.sum())
    if not n:
        raise ValueError("there are no votes")
    p = float(points.sum()) / n
    prompts = len(counts)
    if prompts < 2:
        return Interval(p, 0.0, 1.0)
    spread = p * (1 - p)
    variance = float(np.sum((points - p * counts) ** 2)) / n**2
    # Votes that are all alike don't show how much those of one prompt agree.
    most = n if spread else float(prompts)
    n_eff = min(most, spread / variance) if variance else most
    z2 = quantile(prompts) ** 2
    centre = (p + z2 / (2 * n_eff)) / (1 + z2 / n_eff)
    half = math.sqrt(z2 * (spread / n_eff + z2 / (4 * n_eff**2))) / (1 + z2 / n_eff)
    return Interval(p, max(0.0, centre - half), min(1.0, centre + half))


def quantile(prompts: int) -> float:
    """How many standard errors a 95 % interval reaches to each side, of two prompts or more."""
    return float(special.stdtrit(prompts - 1, (1 + LEVEL) / 2))
