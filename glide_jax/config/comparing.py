"""Where two experiments differ, and whether one may go on from the other."""

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from glide_jax.config.experiment import Experiment
from glide_jax.config.reading import to_dict

MAY_CHANGE = (
    "*training.num_steps",
    "*training.*_every_steps",
    "*training.keep_checkpoints",
    "*training.max_skipped_steps",
    "*training.microbatch_size",
    "*training.fsdp",
    "stages.*.model.remat",
    "stages.*.sampling.*",
    "evaluation*",
    "monitoring.*",
    "prompts",
    "labels",
    "data.workers",
    "text.weights",
    "text.embeddings",
    "cpu_devices",
)
"""Keys that may differ between a checkpoint and the run that resumes from it.

All others decide what is learned, and must agree.
"""

MAY_MOVE = ("stages.*.training.init_from",)
"""Paths that may differ, but not be empty on one side: what was read there is in the checkpoint."""

MAY_CHANGE_WITH_FINGERPRINT = (*MAY_CHANGE, "data.path", "data.prior.path")
"""Keys that may differ where the checkpoint holds the fingerprint of its data.

The data may have moved: whether they are the same is known without their path.
"""

MAY_CHANGE_BEFORE = (
    *MAY_CHANGE,
    "seed",
    "data.*",
    "stages.*.training.*",
    "stages.*.diffusion.weighting",
    "stages.*.diffusion.timesteps",
    "stages.*.diffusion.vlb_weight",
    "stages.*.model.dropout",
    "stages.*.model.dtype",
)
"""Keys that may differ where the checkpoint holds imported weights, not trained on here yet.

All others decide what the weights mean.
"""


def differences(a: Experiment, b: Experiment) -> list[str]:
    """Where two experiments differ: `stages.base.training.batch_size: 64 → 32`, a's value first.

    Models of two families differ by their family alone: their other keys can't be compared.
    """
    return _differences(to_dict(a), to_dict(b), "")


def conflicts(
    checkpoint: Experiment, run: Experiment, may_change: Sequence[str] = MAY_CHANGE
) -> list[str]:
    """The `differences` for which a run can't resume from a checkpoint.

    Args:
        checkpoint: the experiment stored in it.
        run: the experiment that would resume.
        may_change: patterns of the keys that may differ.
    """
    lines = differences(checkpoint, run)
    keys = [line.split(":")[0] for line in lines]
    return [
        line
        for key, line in zip(keys, lines, strict=True)
        if not _matches(key, may_change) and not (_matches(key, MAY_MOVE) and "''" not in line)
    ]


def _matches(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str) -> list[str]:
    if _family(a) != _family(b):
        a, b = _family_alone(a), _family_alone(b)
    lines = []
    for key in {**a, **b}:
        # A stage of another kind, or one that only one of the two has.
        x, y = a.get(key), b.get(key)
        if isinstance(x, Mapping) and isinstance(y, Mapping):
            lines += _differences(x, y, f"{prefix}{key}.")
        elif x != y:
            shown = ["a section" if isinstance(v, Mapping) else repr(v) for v in (x, y)]
            lines.append(f"{prefix}{key}: {' → '.join(shown)}")
    return lines


def _family(section: Mapping[str, Any]) -> str | None:
    """The family of a model, or of a stage's model; None: the section is neither."""
    return section.get("model", section).get("family")


def _family_alone(section: Mapping[str, Any]) -> Mapping[str, Any]:
    if "model" in section:
        return {"model": _family_alone(section["model"])}
    return {"family": section["family"]}
