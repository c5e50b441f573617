"""WORKDIR/summary.json: what was done there last, and the metrics that were found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glide_jax.errors import UserError, one_line
from glide_jax.parallel.processes import by_first_process
from glide_jax.writing import atomic_path

SUMMARY = "summary.json"
"""The file's name in a workdir."""

METRICS = "metrics"
"""Its key of the metrics: set of images → name → value, low and high."""


def read_summary(workdir: Path) -> dict[str, Any]:
    """The figures of a workdir; {}: there are none yet. Raises UserError: the file is damaged."""
    path = workdir / SUMMARY
    try:
        summary = {**json.loads(path.read_text("utf-8"))} if path.exists() else {}
        for values in {**summary.get(METRICS, {})}.values():
            _ = {**values}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise UserError(f"can't read {path}: {reason}; move it away") from error
    return summary


@by_first_process
def update_summary(
    workdir: Path,
    figures: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Add figures to a workdir's summary, replacing those of the same name; others stay.

    Args:
        workdir: of a run.
        figures: by name.
        metrics: set of images → name → value, low and high, added to those of each set.

    Raises:
        DiskError: it can't be written.
    """
    summary = read_summary(workdir)
    together = dict(summary.get(METRICS, {}))
    for name, values in (metrics or {}).items():
        together[name] = together.get(name, {}) | dict(values)
    added = {METRICS: together} if together else {}
    text = json.dumps(summary | added | dict(figures), indent=2, ensure_ascii=False)
    with atomic_path(workdir / SUMMARY) as part:
        part.write_text(text + "\n", "utf-8")
