"""Public files in the cache folder: fetched once, checked once, never there incomplete."""

import contextlib
import hashlib
import re
from pathlib import Path

from glide_jax.cache import cache_folder, lock
from glide_jax.errors import UserError
from glide_jax.interop import contents, released
from glide_jax.interop.fetch import disk, fetch
from glide_jax.interop.released import PublicFile


def download(what: str, *, cache: Path | None = None, progress: bool = True) -> Path:
    """The path of a public file, which is fetched and checked if it is not there yet.

    A file that was put there by hand is checked and used. Of several processes one fetches and the
    others wait.

    Args:
        what: a name in `released.FILES`, or an http address.
        cache: the folder for it; None: `cache_folder()`.
        progress: whether stderr shows a progress bar.

    Raises:
        UserError: it can't be fetched (the message says what to fetch elsewhere, and where to put
            it), the file there is not the right one, or the disk is full (what has arrived is
            kept).
    """
    file = _public_file(what)
    path = (cache or cache_folder()) / _file_name(file)
    if not path.exists():
        with disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            waiting = f"{path.name}: another process is fetching it; waiting"
            with lock(path.with_name(f".{path.name}.lock"), waiting):
                if not path.exists():
                    fetch(file, path, progress)
                    _mark(path)
    if not _is_marked(path):
        _check(file, path)
        with contextlib.suppress(OSError):  # a shared folder may be read-only
            _mark(path)
    return path


def _public_file(what: str) -> PublicFile:
    if "://" not in what:
        first, *others = released.find(what)
        if others:
            names = ", ".join(file.name for file in (first, *others))
            raise UserError(f"{what} stands for several files: fetch each of {names}")
        return first
    if not what.startswith(("http://", "https://")):
        raise UserError(f"{what} can't be fetched: give a name, or an address that begins https://")
    return next((f for f in released.FILES.values() if f.url == what), PublicFile(what, what))


def _file_name(file: PublicFile) -> str:
    """The name in its address; of unknown files with a hash before it, so that names are unique."""
    name = file.url.rpartition("/")[2]
    if file.name in released.FILES:
        return name
    name = re.sub(r"[^\w.-]", "_", re.split("[?#]", name)[0])
    return f"{hashlib.sha256(file.url.encode()).hexdigest()[:8]}-{name}"


def _check(file: PublicFile, path: Path) -> None:
    """Raise UserError for a file that is not the published one."""
    try:
        found = contents.integrity_error(path, path.name, file.size, file.digest)
    except OSError as error:
        raise UserError(
            f"{path} can't be read ({error.strerror}): delete it and try again"
        ) from error
    if found:
        raise UserError(
            f"{path} is not {file.name} as published ({found}): delete it and run again, or "
            f"replace it by what {file.url} gives"
        )


def _mark(path: Path) -> None:
    """Note that a file was checked, so that its gigabytes need not be read again."""
    _marker(path).write_text(_stamp(path), encoding="utf-8")


def _is_marked(path: Path) -> bool:
    """Whether the file was checked and has not changed since."""
    try:
        return _marker(path).read_text(encoding="utf-8") == _stamp(path)
    except OSError:
        return False


def _marker(path: Path) -> Path:
    return path.with_name(f".{path.name}.checked")


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"
