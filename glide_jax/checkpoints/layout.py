"""Where checkpoints lie, and under which names.

    WORKDIR/JOB/checkpoints/STEP/state   the arrays, each under its path: `params/unet.out.kernel`
                                 data    JSON: the state of the data iterator
                                 meta    JSON: the experiment, the tokenizer, the data's
                                         fingerprint, glide_jax's version

A checkpoint is written under a temporary name, in the background, and renamed when it is complete:
a folder whose name is a number holds a complete checkpoint, whatever killed the run. Arrays are
stored by path alone, so that any part of the state can be read without the rest, on any mesh.
"""

from pathlib import Path
from typing import Any

import jax

CHECKPOINTS = "checkpoints"
"""The folder of checkpoints in a job's folder."""


def checkpoints_of(workdir: Path, name: str) -> Path:
    """The folder with the checkpoints of a workdir's stage, or of its text pretraining."""
    return workdir / name / CHECKPOINTS


def complete_steps(directory: Path) -> list[int]:
    """The steps of the complete checkpoints in a directory; everything else there is ignored."""
    return [int(f.name) for f in directory.iterdir() if f.name.isdigit() and f.is_dir()]


def incomplete_checkpoints(directory: Path, step: int | None = None) -> list[Path]:
    """What a killed or failed save left in a directory: of one step, or of any."""
    return list(directory.glob(f"{'*' if step is None else step}.*-tmp*"))


def by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their path: `params/unet.out.kernel` → leaf."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def part_of(path: str) -> str:
    """The part of the state that a path lies in: `params/unet.out.kernel` → `params`."""
    return path.partition("/")[0]
