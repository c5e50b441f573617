"""The metrics of `glide-jax evaluate` by name; a module is imported when its metric is computed."""

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from glide_jax.errors import UserError, unknown_name

if TYPE_CHECKING:
    from glide_jax.evaluation.metric import Metric

MODEL, CAPTIONS, FACTS, CLIP, REFERENCE = "model", "captions", "facts", "clip", "reference"
"""What a metric may need beside images: the model itself, and then no images; the images' captions;
facts of captions, for a scorer to check; a CLIP; features of reference images."""

POOL, SPATIAL, LOGITS = "pool", "spatial", "logits"
"""Outputs of a feature net that a metric may need, see `evaluation.features`."""

OUTPUTS = (POOL, SPATIAL, LOGITS)

_HERE = "glide_jax.evaluation.metrics"


class Registered(NamedTuple):
    """A metric.

    Attributes:
        where: "MODULE:NAME" of its `Metric`.
        needs: what it needs beside images, of the names above.
        lower_is_better: whether the better of two models has the lower number.
    """

    where: str
    needs: tuple[str, ...]
    lower_is_better: bool


METRICS = {
    "fid": Registered(f"{_HERE}.of_features:fid", (REFERENCE, POOL), True),
    "sfid": Registered(f"{_HERE}.of_features:sfid", (REFERENCE, SPATIAL), True),
    "kid": Registered(f"{_HERE}.of_features:kid", (REFERENCE, POOL), True),
    "inception_score": Registered(f"{_HERE}.of_features:score", (LOGITS,), False),
    "precision_recall": Registered(
        f"{_HERE}.of_features:precision_recall", (REFERENCE, POOL), False
    ),
    "density_coverage": Registered(
        f"{_HERE}.of_features:density_coverage", (REFERENCE, POOL), False
    ),
    "clip_score": Registered(f"{_HERE}.fit_of_clip:clip_score", (CAPTIONS, CLIP), False),
    "r_precision": Registered(f"{_HERE}.fit_of_clip:r_precision", (CAPTIONS, CLIP), False),
    "prompt_truth": Registered(f"{_HERE}.prompt_truth:metric", (CAPTIONS, FACTS), False),
    "bits_per_dim": Registered(f"{_HERE}.bits_per_dim:metric", (MODEL,), True),
}
"""Name → the metric; see `evaluation.metric`."""


def parse_metrics(text: str) -> tuple[str, ...]:
    """The names in "fid,kid"; imports nothing.

    Raises:
        UserError: there are none, or no metric has one of them.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UserError(f"give metrics, separated by commas: {','.join(METRICS)}")
    check_metrics(names)
    return names


def check_metrics(names: Iterable[str]) -> None:
    """Raise UserError for a name that no metric has; imports nothing."""
    for name in names:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)


def find_metric(name: str) -> "Metric":
    """What computes the metric of a name in METRICS."""
    module, _, attribute = METRICS[name].where.partition(":")
    return getattr(importlib.import_module(module), attribute)


def needed(names: Iterable[str]) -> frozenset[str]:
    """All that these metrics need."""
    return frozenset(need for name in names for need in METRICS[name].needs)
