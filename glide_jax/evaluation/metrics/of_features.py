"""Metrics of a feature net's outputs: FID, sFID, KID, Inception Score, and of neighbours.

Each is of the features of one network, one resize and one number of images, which the details say.
Of another net than the FID's Inception a metric has another name (`FeatureNet.metric_name`).
"""

import math

import numpy as np

from glide_jax.errors import UserError
from glide_jax.evaluation.feature_sets import FeatureSets
from glide_jax.evaluation.maths.bootstrap import frechet_interval, interval, mean_interval
from glide_jax.evaluation.maths.frechet import few_images, frechet_distance
from glide_jax.evaluation.maths.inception_score import inception_score
from glide_jax.evaluation.maths.kid import kid as kernel_distance
from glide_jax.evaluation.maths.neighbours import density_coverage as neighbours_density
from glide_jax.evaluation.maths.neighbours import precision_recall as neighbours_precision
from glide_jax.evaluation.metric import Evaluation, Result, Value
from glide_jax.evaluation.metrics.per_image import RESAMPLES
from glide_jax.evaluation.registry import LOGITS, POOL, SPATIAL

FRECHET_RESAMPLES = 50
"""Each takes the eigenvalues of a covariance."""

SCORE_RESAMPLES = 100

KID_SUBSETS, KID_SIZE = 100, 1000
"""As published (Bińkowski et al. 2018)."""

KID_RESAMPLED = 4096
"""Images of both sets, up to which the kernel of all pairs fits into memory: 128 MiB."""

SPLIT_IMAGES = 5000
"""Of an Inception Score, as ADM's evaluator."""

PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS = 3, 5
"""ADM's k of precision and recall, and that of density and coverage (Naeem et al. 2020)."""

_Z = 1.959964


def fid(evaluation: Evaluation) -> Result:
    """The Fréchet distance of the pooled features (Heusel et al. 2017)."""
    return _frechet(evaluation, "fid", POOL)


def sfid(evaluation: Evaluation) -> Result:
    """The Fréchet distance of features that know where they are (Nash et al. 2021)."""
    return _frechet(evaluation, "sfid", SPATIAL)


def kid(evaluation: Evaluation) -> Result:
    """The kernel distance of the pooled features (Bińkowski et al. 2018), by random subsets.

    The interval is, of up to 4,096 images in all, by resampling both sets; of more, of the mean
    over the subsets, which then have little in common.
    """
    features = _given(evaluation)
    real, fake = features.shared.features(POOL), features.of_images[POOL].features
    _check(min(len(real), len(fake)), 2, "kid")
    size = min(KID_SIZE, len(real), len(fake))
    found = kernel_distance(real, fake, subsets=KID_SUBSETS, size=size, seed=evaluation.seed)
    if len(real) + len(fake) <= KID_RESAMPLED:
        value = Value(found.mean, *_scatter_of_mmd(real, fake, evaluation.seed, found.mean))
    else:
        half = _Z * found.std / math.sqrt(KID_SUBSETS)
        value = Value(found.mean, found.mean - half, found.mean + half)
    details = {"subsets": KID_SUBSETS, "subset_images": size, "subset_std": found.std}
    name = features.shared.net.metric_name("kid")
    return Result({name: value}, details=features.details(POOL) | details)


def score(evaluation: Evaluation) -> Result:
    """The Inception Score (Salimans et al. 2016), of splits of 5,000 images in their order."""
    features = _given(evaluation)
    logits = np.asarray(features.of_images[LOGITS].features)
    splits = max(1, len(logits) // SPLIT_IMAGES)
    found = interval(
        lambda rows: inception_score(logits[rows], splits).mean,
        len(logits),
        resamples=SCORE_RESAMPLES,
        seed=evaluation.seed,
    )
    name = features.shared.net.metric_name("is")
    std = inception_score(logits, splits).std
    shown = "inception_score" if name == "is" else name
    return Result(
        {shown: Value(*found)},
        details=features.details(LOGITS) | {"splits": splits, "std_of_splits": std},
    )


def precision_recall(evaluation: Evaluation) -> Result:
    """Improved precision and recall (Kynkäänniemi et al. 2019), with k = 3 as ADM's.

    Precision's interval is over the images, recall's over the reference.
    """
    features = _given(evaluation)
    real, fake = _neighbours(features, PRECISION_NEIGHBOURS, "precision_recall")
    found = neighbours_precision(real, fake, PRECISION_NEIGHBOURS)
    inside = {"precision": found.fake_is_inside, "recall": found.real_is_inside}
    return _shares(evaluation, features, inside, PRECISION_NEIGHBOURS)


def density_coverage(evaluation: Evaluation) -> Result:
    """Density and coverage (Naeem et al. 2020), with k = 5.

    Density's interval is over the images, coverage's over the reference.
    """
    features = _given(evaluation)
    real, fake = _neighbours(features, DENSITY_NEIGHBOURS, "density_coverage")
    found = neighbours_density(real, fake, DENSITY_NEIGHBOURS)
    inside = {
        "density": found.spheres / DENSITY_NEIGHBOURS,
        "coverage": found.real_is_covered,
    }
    return _shares(evaluation, features, inside, DENSITY_NEIGHBOURS)


def _frechet(evaluation: Evaluation, metric: str, output: str) -> Result:
    features = _given(evaluation)
    name = features.shared.net.metric_name(metric)
    mean, covariance = features.shared.moments(output)
    images = features.of_images[output]
    _check(images.count, 2, metric)
    if images.mean.shape != mean.shape:
        raise UserError(
            f"the reference {features.shared.reference_name} has {len(mean)} features, and the net "
            f"{features.shared.net.name} {len(images.mean)}: it is of another net"
        )
    value = frechet_distance(mean, covariance, images.mean, images.covariance)
    between = frechet_interval(
        mean, covariance, images.features, resamples=FRECHET_RESAMPLES, seed=evaluation.seed
    )
    shift = value - between.value  # of rounding alone
    few = few_images(
        min(images.count, features.shared.reference_count or images.count), len(mean), name
    )
    result = Result(
        {name: Value(value, between.low + shift, between.high + shift)},
        details=features.details(output),
        notes=(few,) if few else (),
    )
    if few is None or metric != "fid":
        return result
    # What a Fréchet distance of so few images can't say, the kernel distance can.
    try:
        instead = kid(evaluation)
    except UserError:  # the reference has statistics alone
        return result
    return Result(
        {**result.values, **instead.values},
        details={**result.details, "kid": dict(instead.details)},
        notes=result.notes,
    )


def _scatter_of_mmd(
    real: np.ndarray, fake: np.ndarray, seed: int, value: float
) -> tuple[float, float]:
    """The 95 % bootstrap interval of a squared MMD, both sets resampled, about its value.

    Doubles shift the resamples' distances up; of these, only the scatter counts.
    """
    x = np.concatenate([real, fake]).astype(np.float64)
    kernel = (x @ x.T / x.shape[1] + 1) ** 3
    m, n = len(real), len(fake)
    within, diagonal = (kernel[:m, :m], kernel[m:, m:]), kernel.diagonal()
    random, each = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        a = np.bincount(random.integers(m, size=m), minlength=m)
        b = np.bincount(random.integers(n, size=n), minlength=n)
        of_real = (a @ within[0] @ a - a @ diagonal[:m]) / (m * (m - 1))
        of_fake = (b @ within[1] @ b - b @ diagonal[m:]) / (n * (n - 1))
        each.append(of_real + of_fake - 2 * (a @ kernel[:m, m:] @ b) / (m * n))
    low, high = np.quantile(each, [0.025, 0.975]) - np.mean(each)
    return value + float(low), value + float(high)


def _given(evaluation: Evaluation) -> FeatureSets:
    assert evaluation.features is not None
    return evaluation.features


def _check(count: int, least: int, metric: str) -> None:
    if count < least:
        raise UserError(f"{metric} needs {least} images or more on either side, not {count}")


def _neighbours(features: FeatureSets, k: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The reference's features and the images'."""
    real, fake = features.shared.features(POOL), features.of_images[POOL].features
    _check(min(len(real), len(fake)), k + 1, metric)
    return real, fake


def _shares(
    evaluation: Evaluation, features: FeatureSets, inside: dict[str, np.ndarray], k: int
) -> Result:
    net = features.shared.net
    values = {
        net.metric_name(name): Value(
            *mean_interval(each, resamples=RESAMPLES, seed=evaluation.seed)
        )
        for name, each in inside.items()
    }
    return Result(values, len(values), features.details(POOL) | {"neighbours": k})
