"""How well images fit their captions by a noised CLIP at t = 0: CLIP score and R-precision."""

import numpy as np

from glide_jax.errors import UserError
from glide_jax.evaluation.images.image_set import BATCH, ImageSet, numbered
from glide_jax.evaluation.metric import Evaluation, Result
from glide_jax.evaluation.metrics.per_image import by_category, mean, share, summaries
from glide_jax.parallel.collectives import shared_out
from glide_jax.sampling.guides import ClipGuide

CANDIDATES = 100
"""Captions that R-precision chooses among, the image's own one of them."""


def clip_score(evaluation: Evaluation) -> Result:
    """The mean of CLIP's logits of each image and its caption: s · cosine (Nichol et al. 2021,
    sec. 5.1), with s the CLIP's logit scale.

    Another CLIP gives another scale: compare figures of one CLIP alone.

    Returns:
        `clip_score`, and `clip_cosine`, the mean without s.
    """
    images, clip, captions = _given(evaluation)

    def cosines_of(rows: range) -> np.ndarray:
        batches = numbered(images, rows)
        return np.concatenate([clip.score(captions[i : i + len(b)], b) for i, b in batches])

    cosines = shared_out(images.count, cosines_of).astype(np.float64)
    scores = {"clip_score": clip.logit_scale * cosines, "clip_cosine": cosines}
    assert evaluation.prompts is not None
    return Result(
        values=summaries(scores, mean),
        details={"images": len(cosines), "clip_image_size": clip.image_size},
        categories=by_category(scores, evaluation.prompts, mean),
    )


def r_precision(evaluation: Evaluation) -> Result:
    """The share of images whose own caption CLIP finds among others (Xu et al. 2018, sec. 4.1).

    Each image's caption competes with 99 others of the set, which differ from it, chosen by the
    seed; where there are fewer, with all of them.

    Returns:
        `r_precision`, with its binomial interval.

    Raises:
        UserError: all captions are the same.
    """
    images, clip, captions = _given(evaluation)
    texts, own = np.unique(captions, return_inverse=True)
    others = min(CANDIDATES, len(texts)) - 1
    if others < 1:
        raise UserError(
            f"r_precision needs captions that differ, and the {len(captions)} images have one alone"
        )
    text_features = _text_features(clip, [str(text) for text in texts])

    def is_found(row: int, image: np.ndarray) -> float:
        random = np.random.default_rng((evaluation.seed, row))
        # Those after its own are one further on.
        chosen = random.choice(len(texts) - 1, others, replace=False)
        chosen += chosen >= own[row]
        best_other = (text_features[chosen] @ image).max()
        return float(text_features[own[row]] @ image > best_other)

    def found(rows: range) -> np.ndarray:
        features = [
            numbered_image
            for i, batch in numbered(images, rows)
            for numbered_image in enumerate(clip.image_features(batch), i)
        ]
        return np.array([is_found(row, image) for row, image in features])

    right = shared_out(images.count, found)
    assert evaluation.prompts is not None
    scores = {"r_precision": right}
    few = f"r_precision chooses among {others + 1} captions: there are no more that differ"
    return Result(
        values=summaries(scores, share),
        details={"images": len(right), "candidates": others + 1, "by_chance": 1 / (others + 1)},
        categories=by_category(scores, evaluation.prompts, share),
        notes=(few,) * (others + 1 < CANDIDATES),
    )


def _given(evaluation: Evaluation) -> tuple[ImageSet, ClipGuide, list[str]]:
    assert evaluation.images is not None
    assert evaluation.clip is not None
    assert evaluation.prompts is not None
    return evaluation.images, evaluation.clip, evaluation.prompts.captions


def _text_features(clip: ClipGuide, texts: list[str]) -> np.ndarray:
    parts = [clip.text_features(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
    return np.concatenate(parts)
