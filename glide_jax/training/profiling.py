"""A trace of a few steps: what the devices did, and when."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import jax

FOLDER = "profile"


class Profile:
    """Traces some steps of a stage, as `watching.profile_steps` says. A context manager.

    TensorBoard shows it (`pip install xprof`, tensorboard --logdir DIRECTORY/profile), and
    https://ui.perfetto.dev reads the perfetto_trace.json.gz in it.

    Args:
        directory: of the stage.
        steps: the first and the last step; (): none.
    """

    def __init__(self, directory: Path, steps: Sequence[int]):
        self._folder = directory / FOLDER
        self._first, self._last = steps or (0, 0)
        self._is_open = False

    def before(self, step: int) -> None:
        """Say that a step is about to be taken."""
        if step == self._first:
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._is_open = True

    def after(self, step: int, results: Any) -> None:
        """Say that it was asked for; its results are waited for where it is the last."""
        if self._is_open and step >= self._last:
            jax.block_until_ready(results)
            self.close()

    def close(self) -> None:
        """Write what there is."""
        if self._is_open:
            self._is_open = False
            jax.profiler.stop_trace()
            print(f"a trace of steps {self._first} to {self._last}: {self._folder}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
