"""Markers: what says in a bucket that a checkpoint is complete.

    STEP.complete-I-of-N        empty, beside the folder STEP

A bucket can't rename, so that a marker says what a folder's name says on a disk. Process I of N
writes its own after everything else that it has of the step, and a step is complete when those of
all N processes are there.
"""

import re
from collections.abc import Iterable

_MARKER = re.compile(r"(\d+)\.complete-(\d+)-of-(\d+)")


def marker_name(step: int, process: int, count: int) -> str:
    """The marker of a process of so many."""
    return f"{step}.complete-{process}-of-{count}"


def marked_steps(names: Iterable[str]) -> list[int]:
    """The steps whose markers are all among the names in a folder."""
    markers: dict[tuple[int, int], set[int]] = {}
    for found in filter(None, map(_MARKER.fullmatch, names)):
        step, process, count = map(int, found.groups())
        markers.setdefault((step, count), set()).add(process)
    return sorted({step for (step, count), there in markers.items() if there == set(range(count))})


def step_of(name: str) -> int | None:
    """The step that a folder or a marker of this name belongs to; None: it is neither."""
    if name.isdigit():
        return int(name)
    found = _MARKER.fullmatch(name)
    return int(found[1]) if found else None
