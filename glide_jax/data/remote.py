"""Local and remote tar files on any file system that fsspec knows: lists them, reads ranges."""

import logging
import math
import os
import queue
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

import fsspec
from braceexpand import braceexpand

from glide_jax.data import images
from glide_jax.data.filenames import printable
from glide_jax.data.network import unreachable
from glide_jax.errors import UserError, a_few, one_line

RETRY_PAUSES_S = (0.5, 2.0, 8.0)
"""Pauses before the retries of a failed read."""

READ_S = 30.0
"""How long the bytes of an image may take."""

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_MOST_SHARDS = 1_000_000
"""More names than any data set has shards would only fill the memory."""
_log = logging.getLogger(__name__)


def find_tars(path: str) -> list[str]:
    """Return the URL of every tar file that a path names, sorted.

    Args:
        path: a folder, a glob pattern or a file, local or remote; with braces for several, or
            several files joined by "::". What exists under just this name is not a pattern.

    Raises:
        UserError: there is none, they are compressed, or the file system can't list them.
    """
    if not path:
        raise UserError("the source 'webdataset' needs tar shards: set data.path to their folder")
    found: list[str] = []
    try:
        several = _several(path)
        servers = {"://".join(urllib.parse.urlsplit(one)[:2]): None for one in several}
        reasons = [unreachable(server) for server in servers]
        if all(reasons):  # of several, the shards of one that is down are waited for
            raise OSError(f"{reasons[0]}; connect to the network")
        for one in several:
            system, plain = file_system(one)
            names = sorted(map(str, _matches(system, plain)))
            found += [str(system.unstrip_protocol(name)) for name in names]
    except Exception as error:  # file systems raise errors of many types
        raise UserError(f"can't list shards at {printable(path)}: {reason_of(error)}") from error
    compressed = [printable(name) for name in found if name.endswith(_COMPRESSED)]
    tars = [name for name in found if not name.endswith(_COMPRESSED)]
    if compressed:
        summary = f"{len(compressed)} shards are compressed ({a_few(compressed)})"
        if not tars:
            raise UserError(
                f"{summary}, so that an image can't be read without all before it: unpack them to "
                ".tar, as with gunzip"
            )
        _log.warning("%s and left out: unpack them to .tar", summary)
    if not tars:
        raise UserError(
            f"no tar shards at {printable(path)}: set data.path to their folder, or a pattern"
        )
    return tars


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path as that system has it.

    Raises:
        Exception: there is no such file system, or what it needs is not installed.
    """
    if "://" not in url or url.startswith("file://"):
        system = fsspec.filesystem("file")
        # Not url_to_fs, which takes the "::" in a folder's name for a chain of file systems.
        return system, system._strip_protocol(url)
    return fsspec.core.url_to_fs(url)


def _several(path: str) -> list[str]:
    """Return the paths that a path stands for by "::" and braces."""
    if "://" not in path and os.path.exists(os.path.expanduser(path)):
        return [os.path.expanduser(path)]
    parts = path.split("::")
    # Else fsspec's chain of file systems, such as simplecache::https://host/0.tar.
    if not all(part.endswith(".tar") for part in parts) or path.startswith(("tar://", "zip://")):
        parts = [path]
    for part in parts:
        ranges = re.findall(r"\{(-?\d{1,18})\.\.(-?\d{1,18})", part)
        count = math.prod(abs(int(last) - int(first)) + 1 for first, last in ranges)
        if count > _MOST_SHARDS:
            raise ValueError(f"its braces are of {count:,} shards; give fewer")
    return [one for part in parts for one in braceexpand(os.path.expanduser(part), escape=False)]


def _matches(system: Any, plain: str) -> list[str]:
    """Return what a file, folder or glob pattern names on a file system."""
    if any(c in plain for c in "*?[") and not system.isdir(plain):
        return [plain] if system.isfile(plain) else system.glob(plain)
    if plain.endswith((".tar", *_COMPRESSED)):
        return [plain]
    try:
        names = system.ls(plain.rstrip("/") + "/", detail=False)
    except FileNotFoundError:
        return []
    shards = [str(name) for name in names if str(name).endswith((".tar", *_COMPRESSED))]
    return [name for name in shards if not name.rpartition("/")[2].startswith(".")]


def read_range(path: str, start: int, size: int, name: str, *, retries: bool = True) -> bytes:
    """Read bytes `start` to `start + size` of a shard.

    Args:
        path: the shard's URL.
        start: the offset of the first byte.
        size: in bytes.
        name: of the image, for errors.
        retries: whether it is tried again where it fails.

    Raises:
        Unavailable: they can't be read, even after retries.
        BrokenImage: there are no such bytes.
    """
    system, plain = file_system(path)

    def read() -> bytes:
        return system.cat_file(plain, start=start, end=start + size)

    pauses = RETRY_PAUSES_S if retries else ()
    data = with_retries((lambda: in_time(read)) if is_remote(path) else read, name, pauses)
    if len(data) != size:
        raise images.BrokenImage(f"cannot read the image {name}: the shard is cut off")
    return data


def is_remote(path: str) -> bool:
    """Whether a shard is on another machine, which may not answer."""
    return "://" in path and not path.startswith("file://")


def in_time(read: Callable[[], Any]) -> Any:
    """Return read(). Raises TimeoutError where it takes longer than READ_S, and leaves it alone."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((read(), None))
        except BaseException as error:
            answers.put((None, error))

    # File systems have timeouts of their own, of five minutes and more, or none.
    try:
        threading.Thread(target=run, daemon=True).start()
    except RuntimeError as error:  # the interpreter ends: nobody waits for this image
        raise SystemExit from error
    try:
        data, error = answers.get(timeout=READ_S)
    except queue.Empty:
        raise TimeoutError(f"no answer in {READ_S:g} s") from None
    if error is not None:
        raise error
    return data


def with_retries(read: Callable[[], Any], name: str, pauses: Sequence[float] | None = None) -> Any:
    """Return read(), called again after a pause while it fails.

    Args:
        read: what fails.
        name: of what is read, for errors.
        pauses: before each retry, in seconds; None: RETRY_PAUSES_S.

    Raises:
        Unavailable: it fails for good; the message names `name`.
        BrokenImage: it does not exist, or what reads it is not installed.
    """
    for pause in (*(RETRY_PAUSES_S if pauses is None else pauses), None):
        try:
            return read()
        except Exception as caught:  # file systems raise errors of many types
            error = _real(caught)
            if isinstance(error, FileNotFoundError):
                raise images.BrokenImage(f"cannot read {name}: it does not exist") from error
            if isinstance(error, ImportError):
                raise images.BrokenImage(f"cannot read {name}: {reason_of(error)}") from error
            if pause is None:
                raise images.Unavailable(f"cannot read {name}: {reason_of(error)}") from error
            time.sleep(pause)


def _real(error: Exception) -> Exception:
    """The error itself; where fsspec calls any answer of a web server a missing file, that one."""
    cause = error.__cause__
    of_web = cause is not None and type(cause).__module__.startswith("aiohttp")
    refused = isinstance(cause, TimeoutError) or getattr(cause, "status", 0) not in (404, 410)
    asked = isinstance(error, FileNotFoundError) and (of_web or isinstance(cause, TimeoutError))
    return cause if asked and refused and isinstance(cause, Exception) else error


def reason_of(error: Exception) -> str:
    """Return what an error of a file system says, and what to install if that is missing."""
    reason = getattr(error, "strerror", None) or one_line(error)
    if isinstance(error, ImportError):
        reason += "; pip install 'glide_jax[remote]'"
    return reason[:200]
