"""The folder for what is fetched, indexed or compiled once and then only read, and its lock."""

import errno
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock, Timeout

from glide_jax.errors import UserError
from glide_jax.local_path import not_local

CACHE_VARIABLE = "GLIDE_JAX_CACHE"
"""The environment variable that names the folder."""

_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}


class NoLocks(OSError):
    """The file system has no locks, as some network file systems."""


def cache_folder() -> Path:
    """$GLIDE_JAX_CACHE, or ~/.cache/glide_jax. UserError: the variable is a URL."""
    folder = os.environ.get(CACHE_VARIABLE) or "~/.cache/glide_jax"
    if why := not_local(folder):
        raise UserError(f"{CACHE_VARIABLE}={why}")
    return Path(folder).expanduser()


def lock(path: Path, waiting: str) -> AbstractContextManager[object]:
    """Hold a lock file while this process makes something that others may want to make as well.

    The system releases the lock when the process ends, however it ends; a file that is left
    behind locks nothing.

    Args:
        path: of the lock file, made if it is not there; its folder exists.
        waiting: the line for stderr before a wait for another process that holds the lock.

    Returns:
        A context manager that releases the lock, which is held already.

    Raises:
        NoLocks: the file system has none.
        OSError: the file can't be made.
    """
    held = lock_at_once(path)
    if held is not None:
        return held
    print(waiting, file=sys.stderr)
    return _lock_of(path).acquire()


def lock_at_once(path: Path) -> AbstractContextManager[object] | None:
    """As `lock`, without waiting; None: another process holds it. Raises as `lock`."""
    try:
        return _lock_of(path).acquire(blocking=False)
    except Timeout:
        return None
    except OSError as error:
        if error.errno in _WITHOUT_LOCKS:
            raise NoLocks(error.errno, "the file system has no locks", str(path)) from error
        raise


def _lock_of(path: Path) -> FileLock:
    # Soft locks are files that outlive a killed process.
    return FileLock(path, fallback_to_soft=False)
