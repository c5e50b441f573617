"""Files are written whole or not at all; a disk that refuses is one line."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from glide_jax.errors import UserError, one_line


class DiskError(UserError):
    """The disk is full, or may not be written to."""


@contextlib.contextmanager
def telling(what: str | Path) -> Iterator[None]:
    """Turn what the disk refuses into one line.

    Args:
        what: is written inside.

    Raises:
        DiskError: it could not be.
    """
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"can't write {what}: {error.strerror or one_line(error)}; "
            "put that right and run the same command again"
        ) from error


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Another path to write to, which is renamed to `path` at the end, and gone if that fails.

    Args:
        path: of the file; its folder is made.

    Raises:
        DiskError: it could not be written.
    """
    part = path.with_suffix(".part")
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        except BaseException:
            # What takes room is room for something that is whole.
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
