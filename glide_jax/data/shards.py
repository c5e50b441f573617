"""The index of tar shards: their images with captions, and where in a shard each image is.

Every shard is read once from end to end; its index is then kept in the cache folder.
"""

import dataclasses
import functools
import io
import itertools
import json
import logging
import sys
import tarfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from glide_jax.data import images
from glide_jax.data.fields import Fields, texts, value_at
from glide_jax.data.filenames import printable
from glide_jax.data.lines import split_lines
from glide_jax.data.remote import (
    file_system,
    find_tars,
    in_time,
    is_remote,
    reason_of,
    with_retries,
)
from glide_jax.data.shard_cache import index_file, last_index, note_last, write
from glide_jax.errors import UserError, a_few
from glide_jax.progress import Counter

CAPTION_LINE = "\n"
"""Separates the captions of a row in the index."""

START_S = 50.0
"""How long a run that starts waits for shards whose content it doesn't know."""

_PAUSE_S = 5.0
_SKIPPED = "another shard of its server can't be read"
_FOR_GOOD = (FileNotFoundError, PermissionError, ImportError)
_log = logging.getLogger(__name__)
_PARTS = ("names", "captions", "labels", "where", "skipped")
_GZIP = b"\x1f\x8b"


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard, and where its index is.

    Attributes:
        url: of the tar file.
        index: the file in the cache folder.
        reason: why it can't be read now, so that its index is of an earlier run; "": it can, or
            it was not asked.
    """

    url: str
    index: Path
    reason: str


class Index:
    """The rows of all shards, a row being an image with its captions.

    Args:
        shards: their URLs.
        parts: the index of each shard, as `_rows` returns it.

    Attributes:
        names, captions, labels: of each row; its captions are joined by CAPTION_LINE.
        where: i64[n 3], each image's (index of its shard, offset, size in bytes).
        skipped: names of the rows without an image or a caption.
    """

    def __init__(self, shards: tuple[str, ...], parts: list[dict[str, Any]]):
        self.shards = shards
        self.names = [name for part in parts for name in part["names"]]
        self.captions = [caption for part in parts for caption in part["captions"]]
        self.labels = [label for part in parts for label in part["labels"]]
        self.skipped = [name for part in parts for name in part["skipped"]]
        rows = [
            np.column_stack([np.full(len(part["where"]), i), part["where"]])
            for i, part in enumerate(parts)
            if part["where"]
        ]
        self.where = np.concatenate(rows) if rows else np.zeros((0, 3), np.int64)


@functools.lru_cache(maxsize=4)
def shards_of(path: str, fields: Fields, began: tuple[str, ...] | None = None) -> tuple[Shard, ...]:
    """Return all shards that a path names; those without an index are read.

    One that can't be read now is returned with the index of an earlier run on this machine. Where
    there is none it is waited for, START_S at most, and then left out, with a line of the log.

    Args:
        path: as for `find_tars`.
        fields: the suffixes of the image, the caption and the label.
        began: of a run that goes on, those that it began with, which have an index: they alone are
            returned, also one that does not exist any more; None: it begins.

    Raises:
        UserError: there are no shards, none can be read in START_S, or one is no tar file.
    """
    urls = find_tars(path)
    found: dict[str, Shard] = {}
    if began is not None:
        found, urls = _not_listed(began, urls, fields), list(began)
    missing, ends = [url for url in urls if url not in found], time.monotonic() + START_S
    while missing:
        reasons = _index_each(missing, fields, found, began or ())
        for url, reason in reasons.items():
            if known := last_index(url, fields):
                found[url] = Shard(url, known, "" if reason == _SKIPPED else reason)
        # What has just failed comes last, as what follows a failure on its server isn't asked.
        missing = [url for url in [*missing, *reasons] if url not in found]
        missing = list(dict.fromkeys(sorted(missing, key=lambda url: reasons[url] != _SKIPPED)))
        if not missing:
            break
        reason = next(text for text in reasons.values() if text != _SKIPPED)
        if time.monotonic() >= ends:
            _without(missing, reason, len(urls), path)
            break
        _log.warning(
            "%d of %d shards can't be read, waiting for them: %s", len(missing), len(urls), reason
        )
        time.sleep(min(_PAUSE_S, START_S))
    return tuple(found[url] for url in urls if url in found)


@functools.lru_cache(maxsize=4)
def index_of(shards: tuple[Shard, ...]) -> Index:
    """Return the index of all these shards together, from the cache folder."""
    parts = [json.loads(shard.index.read_text(encoding="utf-8")) for shard in shards]
    return Index(tuple(shard.url for shard in shards), parts)


def _not_listed(began: tuple[str, ...], listed: list[str], fields: Fields) -> dict[str, Shard]:
    """The shards of a run that are not where its path leads; of others one line is logged."""
    if new := [printable(url) for url in listed if url not in began]:
        _log.warning(
            "%d of %d shards stay out of this run, which began without them (%s): one that begins "
            "in another --workdir, with training.init_from, reads them",
            len(new),
            len(listed),
            a_few(new),
        )
    shards = {}
    for url in began:
        index = last_index(url, fields)
        if url not in listed and index:
            reason = f"cannot read the shard {printable(url)}: it does not exist"
            shards[url] = Shard(url, index, reason)
    return shards


def _without(missing: list[str], reason: str, count: int, path: str) -> None:
    """Say which shards are left out; UserError: all are."""
    if len(missing) == count:
        raise UserError(
            f"no shard at {printable(path)} can be read within {START_S:g} s: {reason}; is "
            "data.path right, and does its server run?"
        )
    _log.warning(
        "%d of %d shards can't be read within %g s and are left out of this run, as no earlier run "
        "on this machine has read them (%s): %s",
        len(missing),
        count,
        START_S,
        a_few([printable(url) for url in missing]),
        reason,
    )


def _index_each(
    urls: list[str], fields: Fields, found: dict[str, Shard], began: tuple[str, ...]
) -> dict[str, str]:
    """Add to `found` the shards that can be read, and return why each of the others can't.

    One that does not exist is an error, unless the run began with it. While one of a server fails,
    others of it aren't asked: each would wait for nothing.
    """
    reasons: dict[str, str] = {}
    failing: set[str] = set()
    new = [url for url in urls if not last_index(url, fields)]
    with Counter(sys.stderr, "reading shards", len(new), "shards") as counter:
        for url in urls:
            server = urllib.parse.urlsplit(url)[1]
            if server in failing:
                reasons[url] = _SKIPPED
                continue
            try:
                found[url] = Shard(url, _index_file(url, fields), "")
            except images.BrokenImage as error:
                may_come = isinstance(error, images.Unavailable) and is_remote(url)
                if not may_come and url not in began:
                    raise
                reasons[url] = str(error)
                if may_come:
                    failing.add(server)
            if url in new:
                counter.advance(1)
    return reasons


def _index_file(shard: str, fields: Fields) -> Path:
    """Return the path of a shard's index, made now if there is none; another for another shard.

    Raises:
        Unavailable: the shard can't be read now.
    """
    system, plain = file_system(shard)

    def ask() -> dict[str, Any]:
        return in_time(lambda: system.info(plain)) if is_remote(shard) else system.info(plain)

    info = with_retries(ask, f"the shard {printable(shard)}")
    stamp = [str(info.get(key, "")) for key in ("size", "mtime", "ETag", "etag", "updated")]
    file = index_file(shard, stamp, fields)
    if not file.exists():
        write(file, json.dumps(_rows(shard, fields)))
    note_last(shard, fields, file)
    return file


def _rows(shard: str, fields: Fields) -> dict[str, Any]:
    """Read a shard from end to end and return its index."""
    system, plain = file_system(shard)
    try:
        with system.open(plain, "rb") as file:
            if file.read(2) == _GZIP:
                raise tarfile.ReadError("it is compressed; unpack it with gunzip")
            result: dict[str, Any] = {name: [] for name in _PARTS}
            start: int | None = 0
            while start is not None:  # shards that were joined by `cat` are several archives
                file.seek(start)
                with tarfile.open(fileobj=file, mode="r:") as tar:
                    _add_rows(result, tar, fields)
                    start = _next_archive(file, tar.offset)
            return result
    except Exception as error:  # file systems raise errors of many types
        what = f"can't read the shard {printable(shard)}: {reason_of(error)}"
        if is_remote(shard) and not isinstance(error, (tarfile.TarError, *_FOR_GOOD)):
            raise images.Unavailable(what) from error
        raise UserError(f"{what}; repair it, or leave it out of data.path") from error


def _next_archive(file: Any, end: int) -> int | None:
    """Return where the archive begins that follows the one that ends at `end`; None: none does.

    Raises:
        ReadError: there is no end-of-archive block. At a missing or damaged header, tarfile stops
            as at the end of the archive.
    """
    file.seek(end)
    block = file.read(tarfile.BLOCKSIZE)
    if block != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it is cut off or damaged; no end-of-archive block")
    while block:
        if block.strip(b"\0"):
            return end
        end += len(block)
        block = file.read(tarfile.BLOCKSIZE)
    return None


def _add_rows(result: dict[str, Any], tar: tarfile.TarFile, fields: Fields) -> None:
    files = ((_key(member.name), member) for member in tar if member.isfile())
    for key, members in itertools.groupby(files, lambda pair: pair[0]):
        row = {_suffix(member.name): member for _, member in members}
        image = _image(row, fields)
        captions = tuple(_captions(tar, row, fields))
        if image is None or not captions:
            result["skipped"].append(key)
            continue
        result["names"].append(key)
        result["captions"].append(CAPTION_LINE.join(captions))
        result["labels"].append(_label(tar, row, fields.label))
        result["where"].append([image.offset_data, image.size])


def _key(name: str) -> str:
    """Return the row of a file, a/12 for a/12.seg.png: up to the first dot after the folder."""
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.split('.')[0]}" if folder else file.split(".")[0]


def _suffix(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()


def _image(row: dict[str, Any], fields: Fields) -> Any:
    if fields.image:
        return row.get(fields.image)
    return next((m for suffix, m in row.items() if f".{suffix}" in images.SUFFIXES), None)


def _captions(tar: tarfile.TarFile, row: dict[str, Any], fields: Fields) -> Iterator[str]:
    """Yield the row's captions; none if they can't be read."""
    for path in [fields.caption] if fields.caption else ["txt", "json/caption"]:
        if captions := dict.fromkeys(texts(_field(tar, row, path))):
            yield from captions
            return


def _label(tar: tarfile.TarFile, row: dict[str, Any], path: str) -> int | None:
    """Return the row's label; None if it has none, or the field map names none."""
    found = _field(tar, row, path) if path else None
    text = " ".join(found) if isinstance(found, list) else str(found)
    return int(text) if text.strip().isdecimal() else None


def _field(tar: tarfile.TarFile, row: dict[str, Any], path: str) -> Any:
    """Return the lines of a text file ("txt"), or the value at a path in JSON ("json/title")."""
    suffix, _, inner = path.partition("/")
    if suffix not in row:
        return None
    file = tar.extractfile(row[suffix])
    text = io.TextIOWrapper(file, "utf-8-sig", "replace").read() if file else ""
    if suffix != "json":
        return split_lines(text)
    try:
        return value_at(json.loads(text), inner.split("/") if inner else [])
    except (ValueError, KeyError, RecursionError):
        return None
