"""WORKDIR/summary.json: the figures of what was done there last."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glide_jax.parallel.processes import by_first_process
from glide_jax.writing import atomic_path

SUMMARY = "summary.json"
"""The file's name in a workdir."""


def read_summary(workdir: Path) -> dict[str, Any]:
    """The figures of a workdir; {}: there are none yet."""
    path = workdir / SUMMARY
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


@by_first_process
def update_summary(workdir: Path, figures: Mapping[str, Any]) -> None:
    """Add figures to a workdir's summary, replacing those of the same name; others stay.

    Raises:
        DiskError: it can't be written.
    """
    text = json.dumps(read_summary(workdir) | dict(figures), indent=2, ensure_ascii=False)
    with atomic_path(workdir / SUMMARY) as part:
        part.write_text(text + "\n", "utf-8")
