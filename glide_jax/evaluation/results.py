"""Results of metrics as people read them: JSON, and a table."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glide_jax.evaluation.images.image_set import ImageSet
from glide_jax.evaluation.metric import Result, Value
from glide_jax.parallel.processes import by_first_process
from glide_jax.writing import atomic_path

Results = Mapping[str, Result]
"""Metric → its result, of one set of images."""


def to_json(results: Results, images: ImageSet | None) -> dict[str, Any]:
    """The results of one set of images, ready for JSON."""
    of_images = {}
    if images is not None:
        size = [images.height, images.width]
        of_images = {"images": {"name": images.name, "count": images.count, "size": size}}
    return of_images | {
        "metrics": {
            name: {
                "values": values_to_json(result.values),
                "details": dict(result.details),
                "categories": {c: values_to_json(v) for c, v in result.categories.items()},
                "notes": list(result.notes),
            }
            for name, result in results.items()
        }
    }


def values_to_json(values: Mapping[str, Value]) -> dict[str, dict[str, float | None]]:
    """Name → value, low and high."""
    return {name: value._asdict() for name, value in values.items()}


def add_results(path: Path, found: Mapping[str, Any]) -> None:
    """Add results to a file of results, replacing those of the same sets.

    Args:
        path: of the file, made if it is not there.
        found: set of images → `to_json`.

    Raises:
        DiskError: it can't be written.
    """
    before = json.loads(path.read_text("utf-8")) if path.exists() else {}
    write_json(path, before | dict(found))


def in_short(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Set of images → name → value, low and high: `to_json` without all else."""
    return {
        name: {
            value: numbers
            for metric in results["metrics"].values()
            for value, numbers in metric["values"].items()
        }
        for name, results in found.items()
    }


@by_first_process
def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, by the first process of a run; DiskError: it can't be written."""
    with atomic_path(path) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def values_of(results: Results) -> dict[str, Value]:
    """All numbers of all metrics, by their names."""
    return {name: value for result in results.values() for name, value in result.values.items()}


def table(results: Results) -> str:
    """The numbers with their intervals, then those of each category."""
    rows = [(name, shown(value), interval(value)) for name, value in values_of(results).items()]
    lines = _aligned(rows)
    for result in results.values():
        if result.categories:
            lines += ["", *_by_category(result)]
    return "\n".join(lines)


def shown(value: Value) -> str:
    """A number in five digits."""
    return f"{value.value:.5g}"


def interval(value: Value) -> str:
    """`0.91 … 0.95`; "": it has none."""
    if value.low is None or value.high is None:
        return ""
    return f"{value.low:.4g} … {value.high:.4g}"


def _by_category(result: Result) -> list[str]:
    first = next(iter(result.values))
    rows = [
        (category, shown(values[first]), interval(values[first]))
        for category, values in result.categories.items()
        if first in values
    ]
    return [f"{first} by category", *(f"  {line}" for line in _aligned(rows))]


def _aligned(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
    return [
        f"{name:{widths[0]}}  {value:>{widths[1]}}  {between}".rstrip()
        for name, value, between in rows
    ]
