"""A local folder for files that grow, which a bucket has copies of."""

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from glide_jax.errors import UserError, one_line
from glide_jax.storage.path import BucketPath
from glide_jax.storage.scratch import Scratch
from glide_jax.storage.transfer import put_file

EVERY_S = 30.0
"""Pause between two copies; what a killed machine loses of its metrics at most."""

_TIMES_AS_LONG = 20
"""A copy is not begun before so many times the last one's duration: large files cost 5 %."""

_FLUSH_S = 20.0
"""How long `flush` waits; a bucket that is slow or away delays a run by no more."""

_log = logging.getLogger(__name__)


class Spool:
    """A folder of files that are appended to: metrics, TensorBoard's events. A context manager.

    Objects can't be appended to. Of a bucket's folder this is a local one, `folder`, whose changed
    files are copied into the bucket in the background, each as a whole, and once more at the end.
    Of a local folder `folder` is that folder, and nothing is copied. A copy that fails is said in
    one line and tried again with the next; it ends no run.

    Args:
        directory: the folder, local or in a bucket.
        continued: files in it that an earlier run left, to be continued.

    Raises:
        UserError: the bucket can't be opened.
        OSError: a file to continue can't be read.
    """

    def __init__(self, directory: Path, continued: Sequence[str] = ()):
        self._target = directory if isinstance(directory, BucketPath) else None
        self.folder = directory
        if self._target is None:
            return
        self._scratch = Scratch()
        # W&B names a run by the last two.
        self._inside = Path(*directory.parts[-2:])
        self.folder = self._scratch.folder / self._inside
        self.folder.mkdir(parents=True)
        self._copied: dict[Path, tuple[int, int]] = {}
        for name in continued:
            with contextlib.suppress(FileNotFoundError):
                (self.folder / name).write_bytes((self._target / name).read_bytes())
        self._failed = ""
        self._wanted, self._ends = threading.Event(), threading.Event()
        self._round = threading.Condition()
        self._asked = self._served = 0
        self._thread = threading.Thread(target=self._copy_again_and_again, daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Copy what has changed, and wait for that, though not for long."""
        if self._target is None:
            return
        with self._round:
            self._asked += 1
            mine = self._asked
            self._wanted.set()
            self._round.wait_for(lambda: self._served >= mine, _FLUSH_S)

    def close(self) -> None:
        """Copy the rest; a file that can't be copied is named, and stays here."""
        if self._target is None:
            return
        self._ends.set()
        self._wanted.set()
        self._thread.join()
        if self._failed:
            kept = self._scratch.keep() / self._inside
            _log.warning(
                "%s could not be written (%s): its newest files are in %s",
                self._target,
                self._failed,
                kept,
            )
        else:
            self._scratch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _copy_again_and_again(self) -> None:
        pause = EVERY_S
        while True:
            self._wanted.wait(pause)
            self._wanted.clear()
            last = self._ends.is_set()
            with self._round:
                asked = self._asked
            begun = time.monotonic()
            self._copy_changed()
            pause = max(EVERY_S, _TIMES_AS_LONG * (time.monotonic() - begun))
            with self._round:
                self._served = asked
                self._round.notify_all()
            if last:
                return

    def _copy_changed(self) -> None:
        assert self._target is not None
        failed = ""
        for file in sorted(self.folder.rglob("*")):
            try:
                status = file.stat()
                version = status.st_size, status.st_mtime_ns
                if not file.is_file() or self._copied.get(file) == version:
                    continue
                put_file(file, self._target / file.relative_to(self.folder).as_posix())
                self._copied[file] = version
            except (OSError, UserError) as error:
                failed = getattr(error, "strerror", None) or one_line(error)
        if failed and not self._failed:
            _log.warning("%s can't be written now: %s; trying again", self._target, failed)
        self._failed = failed
