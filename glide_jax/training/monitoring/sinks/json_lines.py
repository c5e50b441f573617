"""DIRECTORY/metrics.jsonl, one JSON object a line: {"step": 20, "loss": 0.1, …}."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

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


def _drop_from(path: Path, first_step: int) -> None:
    """Keep only the lines of earlier steps; a line that a kill cut off goes as well."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n") and json.loads(line)["step"] < first_step:
            kept.append(line)
    with atomic_path(path) as part:
        part.write_text("".join(kept), encoding="utf-8")
