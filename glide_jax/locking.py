"""One process at a time: a lock that is a file."""

import contextlib
import fcntl
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def lock(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock of a file; it goes with the process, however that ends. The file stays.

    Args:
        path: the file, made if it is not there.
        waiting: what to say before waiting for another process that holds it.

    Raises:
        OSError: the file can't be made, or its file system has no locks.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(waiting, file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
