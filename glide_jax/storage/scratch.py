"""Local folders for what is on its way to or from a bucket."""

import contextlib
import fcntl
import functools
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Self

_PREFIX = "glide_jax-"


class Scratch:
    """A folder in TMPDIR that goes with its context, its object or its process. A context manager.

    One that a killed process left is deleted by the next process that makes one.

    Attributes:
        folder: the folder, empty.
    """

    def __init__(self):
        _delete_left(tempfile.gettempdir())
        self._outer = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(self._outer / "lock", os.O_CREAT | os.O_RDWR)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        self.folder = self._outer / "files"
        self.folder.mkdir()
        self._end = weakref.finalize(self, _end, self._outer, lock)

    def close(self) -> None:
        """Delete it."""
        self._end()

    def keep(self) -> Path:
        """Never delete it: it has what could not be written elsewhere. Its new path."""
        self._end.detach()
        kept = self._outer.with_name(f"kept-{self._outer.name}")
        self._outer.rename(kept)
        return kept / "files"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _end(outer: Path, lock: int) -> None:
    shutil.rmtree(outer, ignore_errors=True)
    os.close(lock)


@functools.cache
def _delete_left(where: str) -> None:
    """Delete the folders whose process is gone: with it went its lock."""
    for outer in Path(where).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(outer / "lock", os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(outer, ignore_errors=True)
            finally:
                os.close(lock)
