"""Silences what Orbax and TensorStore print of failed saves: `Checkpoints` reports those itself."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def quiet_background_errors() -> None:
    """Silence what Orbax and TensorStore print about a save that failed; for commands to call.

    Orbax logs each error several times as hundreds of lines of traceback, and TensorStore's
    pending writers each print that their event loop is closed. Both go on in background threads,
    so this changes global state: absl's logger and `sys.unraisablehook`. Calling it twice is
    harmless.
    """
    logging.getLogger("absl").addFilter(_is_no_traceback_of_orbax)
    if not isinstance(sys.unraisablehook, _WithoutLateWriters):
        sys.unraisablehook = _WithoutLateWriters(sys.unraisablehook)


def _is_no_traceback_of_orbax(record: logging.LogRecord) -> bool:
    if "orbax" not in Path(record.pathname).parts:
        return True
    # The latter says of each save to a bucket that it counts no bytes.
    return not (record.exc_info or "object size logging" in str(record.msg))


class _WithoutLateWriters:
    """A hook that ignores TensorStore's writers which end after a save has failed."""

    def __init__(self, hook: Callable[[Any], Any]):
        self._hook = hook

    def __call__(self, unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            self._hook(unraisable)
