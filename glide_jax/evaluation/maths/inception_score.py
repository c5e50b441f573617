"""The Inception Score (Salimans et al. 2016)."""

from typing import NamedTuple

import numpy as np


class InceptionScore(NamedTuple):
    """An Inception Score.

    Attributes:
        mean: over the splits.
        std: over the splits, with the divisor n.
    """

    mean: float
    std: float


def inception_score(logits: np.ndarray, splits: int) -> InceptionScore:
    """exp E[KL(p(y | x) ‖ p(y))] of each split (Salimans et al. 2016, sec. 4).

    Split i has the images from i·n // splits to (i + 1)·n // splits, in the order given. ADM's
    evaluator has splits of 5,000 images: for 50,000, ten. A score depends on the size of its split.

    Args:
        logits: f32[n c], of the FID's Inception without the bias of its last layer, as everybody's.
        splits: their number.

    Raises:
        ValueError: fewer images than splits.
    """
    count = len(logits)
    if not 1 <= splits <= count:
        raise ValueError(f"{splits} splits of {count} images")
    scores = [
        score_of(logits[i * count // splits : (i + 1) * count // splits]) for i in range(splits)
    ]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def score_of(logits: np.ndarray) -> float:
    """The score of one split: [n c] → exp of the mean KL divergence; from 1 to c."""
    logits = np.asarray(logits, np.float64)
    centred = logits - logits.max(1, keepdims=True)
    log_p = centred - np.log(np.exp(centred).sum(1, keepdims=True))
    p = np.exp(log_p)
    log_marginal = np.log(np.maximum(p.mean(0, keepdims=True), np.finfo(np.float64).tiny))
    return float(np.exp((p * (log_p - log_marginal)).sum(1).mean()))
