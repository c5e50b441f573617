"""DIRECTORY/metrics.jsonl, one JSON object a line: {"step": 20, "loss": 0.1, …}."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glide_jax.errors import UserError, one_line
from glide_jax.writing import atomic_path, disk_errors

FILE = "metrics.jsonl"


class JsonLines:
    """A Sink; values that are not finite are written as null, images are left out."""

    def __init__(self, directory: Path, first_step: int):
        self._path = directory / FILE
        with disk_errors(self._path):
            _drop_from(self._path, first_step)
            self._file = self._path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See Sink."""
        finite = {name: float(x) if math.isfinite(x) else None for name, x in values.items()}
        with disk_errors(self._path):
            self._file.write(json.dumps({"step": step} | finite) + "\n")
            self._file.flush()

    def image(self, step: int, name: str, sheet: np.ndarray) -> None:
        """See Sink."""

    def close(self) -> None:
        """See Sink."""
        with disk_errors(self._path):
            self._file.close()


def complete_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Each line, and the step and the values in it; one that was cut off is left out.

    A kill cuts off the last line, and a run that goes on may be writing it.

    Args:
        path: of a file that a JsonLines wrote.

    Raises:
        UserError: a line is damaged.
    """
    found = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                found.append((line, _checked(json.loads(line))))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(
            f"{path}: line {len(found) + 1} is damaged ({one_line(error)}); delete the line, or "
            "move the file away"
        ) from error
    return found


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    if type(row["step"]) is not int or not all(
        value is None or isinstance(value, int | float) for value in row.values()
    ):
        raise ValueError("not a step and its values")
    return row


def _drop_from(path: Path, first_step: int) -> None:
    """Keep only the lines of earlier steps; a line that a kill cut off goes as well."""
    if not path.exists():
        return
    kept = [line for line, row in complete_lines(path) if row["step"] < first_step]
    with atomic_path(path) as part:
        part.write_text("".join(kept), encoding="utf-8")
