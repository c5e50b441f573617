"""Whole files and folders between this machine and a bucket."""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from glide_jax.cache import cache_folder
from glide_jax.errors import UserError, one_line
from glide_jax.storage.parsing import storage_path
from glide_jax.storage.path import BucketPath

_AT_ONCE = 16
"""Transfers at once: where a bucket takes 10 ms to answer, a thousand small files take a second."""


def is_in_bucket(path: Path) -> bool:
    """Whether a path is in a bucket, and so can't be given to what reads and writes local files."""
    return isinstance(path, BucketPath)


def check_writable(folder: Path | None) -> None:
    """Write and delete an object in a bucket's folder; of a local one see what is there already.

    Args:
        folder: that is to be made and written to; None: there is none.

    Raises:
        UserError: the bucket can't be opened or written to; a file is where the folder is to be, or
            what is there may not be written to.
    """
    if isinstance(folder, BucketPath):
        probe = folder / f".glide_jax_can_write.{os.getpid()}"
        try:
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"can't write to {folder}: {error.strerror}") from error
    elif folder is not None:
        try:
            _check_local(folder.absolute())
        except OSError as error:
            raise UserError(
                f"can't write to {folder}: {error.strerror}; choose another place"
            ) from error


def _check_local(folder: Path) -> None:
    """Raise OSError where a folder, or the first above it that is there, can't be written to."""
    for place in (folder, *folder.parents):
        try:
            mode = os.stat(place).st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(place, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return


def put_file(file: Path, target: Path) -> None:
    """Make a local file an object, which appears when all of it is there. Raises OSError."""
    assert isinstance(target, BucketPath)
    target.written(lambda system: system.put_file(str(file), target.plain))


def upload(folder: Path, target: Path, last: Sequence[str] = ()) -> None:
    """Copy the files of a local folder into a bucket's.

    Args:
        folder: with all that is in it.
        target: the bucket's folder; what it has by other names stays.
        last: files, relative to `folder`, that are written after all others: the markers.

    Raises:
        OSError: a file can't be written, even after retries.
    """
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    markers = [Path(name) for name in last]
    _all(lambda name: put_file(folder / name, target / name), set(files) - set(markers))
    _all(lambda name: put_file(folder / name, target / name), markers)


def download(source: Path, folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> None:
    """Copy the objects of a bucket's folder into a local one.

    Args:
        source: the bucket's folder.
        folder: the local one; made if it is not there. What it has already is not read again.
        wanted: relative name → whether it is read.

    Raises:
        OSError: an object can't be read, even after retries.
    """
    names = [p.relative_to(source).as_posix() for p in source.rglob("*")]
    missing = [name for name in names if wanted(name) and not (folder / name).exists()]
    _all(lambda name: _get(source / name, folder / name), missing)


def _get(source: Path, file: Path) -> None:
    assert isinstance(source, BucketPath)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Another process may fetch the same into the cache.
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    source.ask(lambda system: system.get_file(source.plain, str(part)))
    part.replace(file)


def move_files(folder: Path, target: Path) -> None:
    """Move the files of a local folder into another, local or in a bucket. Raises OSError."""
    if is_in_bucket(target):
        upload(folder, target)
        return
    for file in folder.iterdir():
        file.rename(target / file.name)


def remove_tree(folder: Path) -> None:
    """Delete all in a folder, local or in a bucket. Raises OSError where the bucket fails."""
    if not is_in_bucket(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    _all(lambda path: path.unlink(missing_ok=True), list(folder.rglob("*")))


def local_copy(path: Path) -> Path:
    """A path on this machine of a file or a folder: itself, or a copy of what is in the bucket.

    The copy stays in the cache, under the objects' names and versions, and is not fetched again.

    Args:
        path: of a file or folder.

    Raises:
        UserError: it is in a bucket, and not there.
        OSError: it can't be read, or not be kept.
    """
    if not isinstance(path, BucketPath):
        return path
    found: dict[str, Any] = path.ask(lambda system: system.find(path.plain, detail=True))
    if not found:
        raise UserError(f"{path} is not there")
    versions = [f"{name} {_version(info)}" for name, info in sorted(found.items())]
    key = hashlib.sha256("\n".join([str(path), *versions]).encode()).hexdigest()[:24]
    folder = cache_folder() / "buckets" / key
    kept = folder / path.name
    if path.plain in found:
        if not kept.exists():
            _get(path, kept)
    else:
        download(path, kept)
    return kept


def fetched(given: str | os.PathLike[str]) -> Path:
    """As `local_copy`, of what somebody gave to be read.

    Args:
        given: a path, or a place in a bucket.

    Raises:
        UserError: it is another URL, or in a bucket that can't be read.
    """
    path = storage_path(given)
    try:
        return local_copy(path)
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror or one_line(error)}") from error


def _version(info: dict[str, Any]) -> str:
    """What changes when an object is written again."""
    names = ("ETag", "etag", "generation", "size")
    return " ".join(str(info[name]) for name in names if name in info)


def _all(action: Callable[[Any], object], things: Any) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(action, things):
            pass
