"""Files are written atomically; what the disk refuses is one line of error."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from glide_jax.errors import UserError, one_line
from glide_jax.storage import Scratch, is_in_bucket, put_file, storage_path


class DiskError(UserError):
    """The disk is full, or can't be written to."""


@contextlib.contextmanager
def disk_errors(what: str | Path) -> Iterator[None]:
    """Turn an OSError of the body into a DiskError.

    Args:
        what: the file or folder that the body writes, for the message.

    Raises:
        DiskError: the body raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"can't write {what}: {error.strerror or one_line(error)}; "
            "put that right and run the same command again"
        ) from error


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path that is renamed to `path` if the body succeeds, and deleted if it fails.

    Nobody ever reads a half-written file, and an earlier file stays until the new one is complete.
    In a bucket there is no renaming: the temporary file is local, and then becomes the object.

    Args:
        path: the file, local or in a bucket; its folder is made.

    Raises:
        DiskError: it could not be written.
        UserError: it is another URL, or in a bucket that can't be opened.
    """
    path = storage_path(path)
    if not path.name:
        raise DiskError(f"can't write {path}: it is a folder; give a file's name")
    if is_in_bucket(path):
        with disk_errors(path), Scratch() as scratch:
            part = scratch.folder / path.with_suffix(".part").name
            yield part
            put_file(part, path)
        return
    part = path.with_suffix(".part")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        except BaseException:
            # A failed write must not keep the disk full.
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
