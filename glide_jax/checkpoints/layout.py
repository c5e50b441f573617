"""Where checkpoints lie, and under which names.

    WORKDIR/JOB/checkpoints/STEP/state   the arrays, each under its path: `params/unet.out.kernel`
                                 data    JSON: the state of the data iterator
                                 meta    JSON: the experiment, the tokenizer, the data's
                                         fingerprint, glide_jax's version

A checkpoint is written under a temporary name, in the background, and renamed when it is complete:
a folder whose name is a number holds a complete checkpoint, whatever killed the run. In a bucket,
where nothing can be renamed, it is complete with the markers beside it, see `markers`. Arrays are
stored by path alone, so that any part of the state can be read without the rest, on any mesh.
"""

from pathlib import Path
from typing import Any

import jax

from glide_jax.checkpoints.markers import marked_steps, step_of
from glide_jax.storage import is_in_bucket

CHECKPOINTS = "checkpoints"
"""The folder of checkpoints in a job's folder."""


def checkpoints_of(workdir: Path, name: str) -> Path:
    """The folder with the checkpoints of a workdir's stage, or of its text pretraining."""
    return workdir / name / CHECKPOINTS


def complete_steps(directory: Path) -> list[int]:
    """The steps of the complete checkpoints in a directory; everything else there is ignored."""
    if is_in_bucket(directory):
        return marked_steps(names_in(directory))
    return [int(f.name) for f in directory.iterdir() if _is_step(f.name) and f.is_dir()]


def incomplete_checkpoints(directory: Path, step: int | None = None) -> list[Path]:
    """What a killed or failed save left in a directory: of one step, or of any."""
    if not is_in_bucket(directory):
        return list(directory.glob(f"{'*' if step is None else step}.*-tmp*"))
    names = names_in(directory)
    left = {step_of(name) for name in names} - {None, *marked_steps(names)}
    return [directory / str(found) for found in left if step in (None, found)]


def _is_step(name: str) -> bool:
    """Whether a folder's name is a step's: neither `06` nor `²` nor `٩` is."""
    return name.isascii() and name.isdigit() and name == str(int(name))


def names_in(directory: Path) -> list[str]:
    """The names in a directory; []: it is not there."""
    try:
        return [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []


def by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their path: `params/unet.out.kernel` → leaf."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def part_of(path: str) -> str:
    """The part of the state that a path lies in: `params/unet.out.kernel` → `params`."""
    return path.partition("/")[0]
