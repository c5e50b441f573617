"""The indexes of tar shards in the cache folder.

An index is there under a name that is a digest of its shard, of the fields, and of what changes
with the shard's content: its size, its date, its ETag. Beside it is noted which index a run on this
machine has made or used last of a shard: what is known of it while it can't be read.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glide_jax.cache import CACHE_VARIABLE, cache_folder
from glide_jax.data.fields import Fields
from glide_jax.errors import UserError, one_line

_VERSION = 3  # of the index's content


def index_file(shard: str, stamp: Sequence[str], fields: Fields) -> Path:
    """Where the index of a shard is.

    Args:
        shard: its URL.
        stamp: what changes with its content.
        fields: the suffixes of the image, the caption and the label.
    """
    return kept(f"{_hash(shard, stamp, fields)}.json")


def last_index(shard: str, fields: Fields) -> Path | None:
    """The index that a run has made or used last of a shard; None: none has."""
    last = _last_file(shard, fields)
    file = kept(last.read_text(encoding="utf-8")) if last.exists() else None
    return file if file and file.exists() else None


def note_last(shard: str, fields: Fields, index: Path) -> None:
    """Note which index of a shard was used last."""
    last = _last_file(shard, fields)
    if not last.exists() or last.read_text(encoding="utf-8") != index.name:
        write(last, index.name)


def kept(name: str) -> Path:
    """The file of a name in the cache folder."""
    return cache_folder() / "shards" / name


def write(file: Path, text: str) -> None:
    """Write a file there, atomically.

    Raises:
        UserError: the cache folder can't be written to.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise UserError(
            f"can't write the index {file}: {error.strerror or one_line(error)}; set "
            f"{CACHE_VARIABLE} to a folder that can be written"
        ) from error


def _last_file(shard: str, fields: Fields) -> Path:
    return kept(f"{_hash(shard, fields)}.last")


def _hash(*what: Any) -> str:
    return hashlib.sha256(repr((_VERSION, *what)).encode()).hexdigest()[:32]
