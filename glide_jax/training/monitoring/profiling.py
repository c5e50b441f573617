"""Profiling: a trace of what the devices do in a few steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import jax

from glide_jax.progress import say
from glide_jax.storage import Spool

FOLDER = "profile"


class Profile:
    """Traces the steps of a job that `monitoring.profile_steps` names. A context manager.

    TensorBoard shows the trace (`pip install xprof`, tensorboard --logdir DIRECTORY/profile), and
    https://ui.perfetto.dev opens the perfetto_trace.json.gz in it.

    Args:
        directory: the job's folder, local or in a bucket.
        steps: the first and the last step to trace; (): none.
    """

    def __init__(self, directory: Path, steps: Sequence[int]):
        self._folder = directory / FOLDER
        self._spool: Spool | None = None
        self._first, self._last = steps or (0, 0)
        self._is_open = False

    def before(self, step: int) -> None:
        """To be called before each step; starts the trace at the first one."""
        if step == self._first:
            self._spool = Spool(self._folder)
            options = jax.profiler.ProfileOptions()
            # It hooks every thread of Python, Orbax's too, and then some hang, or the process dies.
            options.python_tracer_level = 0
            jax.profiler.start_trace(
                self._spool.folder, create_perfetto_trace=True, profiler_options=options
            )
            self._is_open = True

    def after(self, step: int, results: Any) -> None:
        """To be called after each step is dispatched; at the last one, waits for its results."""
        if self._is_open and step >= self._last:
            jax.block_until_ready(results)
            self.close()

    def close(self) -> None:
        """Write the trace if one is running."""
        if self._is_open:
            self._is_open = False
            jax.profiler.stop_trace()
            if self._spool is not None:
                self._spool.close()
            say(f"a trace of steps {self._first} to {self._last}: {self._folder}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
