"""Files near and far, on any file system that fsspec knows: which there are, and parts of them."""

import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import fsspec

from glide_jax.data import images
from glide_jax.errors import UserError, one_line

PAUSES_S = (0.5, 2.0, 8.0)
"""How long to wait before a read that failed is tried again."""


def find_tars(path: str) -> list[str]:
    """Every tar file that a path names, with its protocol, in the order of their names.

    Args:
        path: a folder, a pattern or one file, near or far; braces stand for several.

    Raises:
        UserError: there is none, or they can't be looked for.
    """
    if not path:
        raise UserError("the source 'webdataset' needs tar shards: set data.path to their folder")
    found: list[str] = []
    try:
        for one in _braces(os.path.expanduser(path)):
            system, plain = fsspec.core.url_to_fs(one)
            if any(c in plain for c in "*?["):
                names = system.glob(plain)
            elif plain.endswith(".tar"):
                names = [plain]
            else:
                names = system.glob(plain.rstrip("/") + "/*.tar")
            found += [str(system.unstrip_protocol(name)) for name in sorted(map(str, names))]
    except Exception as error:  # each file system fails in its own ways
        raise UserError(f"can't look for shards at {path}: {why(error)}") from error
    if not found:
        raise UserError(f"no tar shards at {path}: set data.path to their folder, or a pattern")
    return found


def _braces(path: str) -> Iterator[str]:
    """Write braces out: {08..10}.tar → 08.tar, 09.tar, 10.tar; {a,b} → a, b."""
    match = re.search(r"\{([^{}]*)\}", path)
    if not match:
        yield path
        return
    numbers = re.fullmatch(r"(\d+)\.\.(\d+)", match[1])
    if numbers:
        width = len(numbers[1])
        choices = [f"{n:0{width}}" for n in range(int(numbers[1]), int(numbers[2]) + 1)]
    else:
        choices = match[1].split(",")
    for choice in choices:
        yield from _braces(path[: match.start()] + choice + path[match.end() :])


def read_range(path: str, start: int, size: int, name: str) -> bytes:
    """`size` bytes of a shard. Raises BrokenImage, of the picture `name`: they can't be had."""
    system, plain = fsspec.core.url_to_fs(path)
    data = tried(lambda: system.cat_file(plain, start=start, end=start + size), name)
    if len(data) != size:
        raise images.BrokenImage(f"cannot read the picture {name}: the shard is cut off")
    return data


def tried(read: Callable[[], Any], name: str) -> Any:
    """The result, at the last of a few tries. Raises BrokenImage, of `name`: none succeeded."""
    for pause in (*PAUSES_S, None):
        try:
            return read()
        except FileNotFoundError as error:
            raise images.BrokenImage(f"cannot read {name}: it is not there any more") from error
        except Exception as error:  # each file system fails in its own ways
            if pause is None or isinstance(error, ImportError):
                raise images.BrokenImage(f"cannot read {name}: {why(error)}") from error
            time.sleep(pause)


def why(error: Exception) -> str:
    """What a file system's error says, and what to install where that is missing."""
    reason = getattr(error, "strerror", None) or one_line(error)
    if isinstance(error, ImportError):
        reason += "; pip install 'glide_jax[remote]'"
    return reason[:200]
