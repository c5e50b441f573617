"""Where two experiments differ, and whether one may go on from the other."""

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from glide_jax.config.experiment import Experiment
from glide_jax.config.reading import to_dict

MAY_CHANGE = (
    "training.num_steps",
    "training.*_every_steps",
    "training.keep_checkpoints",
    "training.max_skipped_steps",
    "training.microbatch_size",
    "training.fsdp",
    "model.remat",
    "sampling.*",
    "evaluation.*",
    "watching.*",
    "prompts",
    "labels",
    "data.workers",
    "cpu_devices",
)
"""What may differ between a checkpoint and the run that goes on from it (the other stages' alike).

Everything else decides what is learned: there the two must agree.
"""

MAY_CHANGE_BEFORE = (
    *MAY_CHANGE,
    "seed",
    "data.*",
    "training.*",
    "diffusion.weighting",
    "diffusion.timesteps",
    "diffusion.vlb_weight",
    "model.dropout",
    "model.dtype",
)
"""What may differ where the checkpoint was imported, and nothing has been trained here yet.

Everything else says what the weights mean.
"""


def differences(a: Experiment, b: Experiment) -> list[str]:
    """Where two experiments differ: `training.batch_size: 64 → 32` each, a's value first.

    Of models of two families the family alone is named: the rest can't be compared.
    """
    return _differences(to_dict(a), to_dict(b), "")


def conflicts(
    checkpoint: Experiment, run: Experiment, may_change: Sequence[str] = MAY_CHANGE
) -> list[str]:
    """The `differences` because of which a run can't go on from a checkpoint.

    Args:
        checkpoint: the experiment stored there.
        run: the one that would go on.
        may_change: patterns of the keys in which they may differ.
    """
    lines = differences(checkpoint, run)
    return [line for line in lines if not _matches(line.split(":")[0], may_change)]


def _matches(key: str, patterns: Sequence[str]) -> bool:
    key = key.removeprefix("upsampler.").removeprefix("text_pretraining.")
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str) -> list[str]:
    if a.get("family") != b.get("family"):
        a, b = {"family": a["family"]}, {"family": b["family"]}
    lines = []
    for key, x in a.items():
        y = b[key]
        if isinstance(x, Mapping) and isinstance(y, Mapping):
            lines += _differences(x, y, f"{prefix}{key}.")
        elif x != y:
            shown = ["a section" if isinstance(v, Mapping) else repr(v) for v in (x, y)]
            lines.append(f"{prefix}{key}: {' → '.join(shown)}")
    return lines
