"""Tar shards as img2dataset writes them, here or far away: "webdataset".

A shard is a tar file; the files of one picture follow each other and share a name:

    000000012.jpg  000000012.txt  000000012.json

data.path is a folder of shards, a pattern, or several shards in braces, on any file system that
fsspec knows:

    ~/laion                        gs://bucket/laion/{00000..00127}.tar
    ~/laion/0000*.tar              https://host/laion/{00000..00127}.tar

The caption is the `txt` beside the picture, or of a `json` its "caption". Another field:
"webdataset?caption=json/title"; one kind of picture alone: "webdataset?image=png". A label is a
whole number: "webdataset?label=cls", or "webdataset?label=json/class".

Each shard is read through once and its index kept in the cache folder: where each picture lies, and
its captions. From then on a picture is one read of its own bytes, in any order. Rows without a
picture or a caption are skipped, counted and named in one line of the log.
"""

import functools
import hashlib
import io
import itertools
import json
import logging
import os
import re
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from tqdm import tqdm

from glide_jax.cache import cache_folder
from glide_jax.data import images
from glide_jax.data.fields import Fields, inside, split_fields, texts
from glide_jax.data.source import Example, checked
from glide_jax.data.splitting import check_split, kept_back, places
from glide_jax.errors import UserError, one_line

PAUSES_S = (0.5, 2.0, 8.0)
"""How long to wait before a read that failed is tried again."""

_CAPTION_LINE = "\n"
_log = logging.getLogger(__name__)


def prepare(variant: str, path: str) -> None:
    """Make the index of every shard that has none yet.

    Args:
        variant: a field map, or nothing.
        path: the shards.

    Raises:
        UserError: there are no shards there, or one can't be read.
    """
    _index(path, _fields(variant))


def open_split(variant: str, path: str, split: str) -> "WebDataset":
    """Open the "train" or "test" split; which one a picture is in depends on its name alone.

    Raises:
        UserError: as `prepare`; or no such split, or no picture with a caption.
    """
    check_split(split, "shards")
    return WebDataset(path, split, _fields(variant))


class WebDataset:
    """A Source over the pictures of tar shards.

    Args:
        path: the shards.
        split: "train" or "test".
        fields: the picture's, the caption's and the label's.

    Raises:
        UserError: see `open_split`.
    """

    def __init__(self, path: str, split: str, fields: Fields):
        self._arguments, self._fields = (path, split, fields), fields
        index = _index(path, fields)
        summary = f"{path}: {len(index.names)} pictures with captions in {len(index.shards)} shards"
        if index.skipped:
            few = ", ".join(index.skipped[:3]) + (", …" if len(index.skipped) > 3 else "")
            summary += f"; skipped {len(index.skipped)} without a picture or a caption ({few})"
        if not index.names:
            raise UserError(f"{summary}; is this what img2dataset wrote? See docs/data.md")
        tests = kept_back(index.names)
        if not any(tests):
            summary += "; too few to split: all are in train"
        _log.log(logging.WARNING if index.skipped else logging.INFO, "%s", summary)
        self._index, self._places = index, places(tests, split, summary)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """See Source."""
        return () if self._fields.label else None

    def __len__(self) -> int:
        return len(self._places)

    def __reduce__(self) -> tuple[Any, ...]:
        return WebDataset, self._arguments

    def __getitem__(self, i: int) -> Example:
        captions = self.captions(i)
        place = self._places[i]
        shard, start, size = (int(x) for x in self._index.where[place])
        path = self._index.shards[shard]
        name = f"{self._index.names[place]} of {path}"
        data = _read(path, start, size, name)
        label = self._index.labels[place]
        return Example(images.decode(data, name), captions, facts={}, label=label)

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of picture i without reading it."""
        place = self._places[checked(i, len(self))]
        return tuple(self._index.captions[place].split(_CAPTION_LINE))


class _Index:
    """Where every picture lies: names, captions and labels by row, where i64[n 3]: shard, start,
    size."""

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


def _fields(variant: str) -> Fields:
    name, fields = split_fields(variant)
    if name:
        raise UserError(
            f"the source 'webdataset' has no variant {name!r}: write just 'webdataset', and where "
            "the shards lie in data.path"
        )
    return fields


@functools.lru_cache(maxsize=4)
def _index(path: str, fields: Fields) -> _Index:
    shards = _shards(path)
    kept = [(shard, _index_file(shard, fields)) for shard in shards]
    missing = [pair for pair in kept if not pair[1].exists()]
    for shard, file in tqdm(missing, "reading shards", unit="shard", disable=not missing):
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(_rows(shard, fields)), encoding="utf-8")
        part.replace(file)
    parts = [json.loads(file.read_text(encoding="utf-8")) for _, file in kept]
    return _Index(tuple(shards), parts)


def _shards(path: str) -> list[str]:
    """Every shard that a path names, with its protocol, in the order of their names."""
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
        raise UserError(f"can't look for shards at {path}: {_why(error)}") from error
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


def _index_file(shard: str, fields: Fields) -> Path:
    """Where a shard's index is kept; another one, once the shard is another."""
    system, plain = fsspec.core.url_to_fs(shard)
    info = _tried(lambda: system.info(plain), f"the shard {shard}")
    stamp = [str(info.get(key, "")) for key in ("size", "mtime", "ETag", "etag", "updated")]
    name = hashlib.sha256(repr((shard, stamp, fields)).encode()).hexdigest()[:32]
    return cache_folder() / "shards" / f"{name}.json"


def _rows(shard: str, fields: Fields) -> dict[str, Any]:
    """Read a shard through: its rows' names, captions, and where their pictures lie."""
    try:
        with fsspec.open(shard, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:  # pyright: ignore[reportCallIssue, reportArgumentType]
            files = ((_key(member.name), member) for member in tar if member.isfile())
            names = ("names", "captions", "labels", "where", "skipped")
            result: dict[str, Any] = {name: [] for name in names}
            for key, members in itertools.groupby(files, lambda pair: pair[0]):
                row = {_suffix(member.name): member for _, member in members}
                picture = _picture(row, fields)
                captions = tuple(_captions(tar, row, fields))
                if picture is None or not captions:
                    result["skipped"].append(key)
                    continue
                result["names"].append(key)
                result["captions"].append(_CAPTION_LINE.join(captions))
                result["labels"].append(_label(tar, row, fields.label))
                result["where"].append([picture.offset_data, picture.size])
            return result
    except Exception as error:  # each file system fails in its own ways
        raise UserError(
            f"can't read the shard {shard}: {_why(error)}; put it right, or leave it out of "
            "data.path"
        ) from error


def _key(name: str) -> str:
    """The row's name, a/12 of a/12.seg.png: it ends at the first dot of the file's."""
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.split('.')[0]}" if folder else file.split(".")[0]


def _suffix(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()


def _picture(row: dict[str, Any], fields: Fields) -> Any:
    if fields.image:
        return row.get(fields.image)
    return next((m for suffix, m in row.items() if f".{suffix}" in images.SUFFIXES), None)


def _captions(tar: tarfile.TarFile, row: dict[str, Any], fields: Fields) -> Iterator[str]:
    """The row's captions, each one line; none, where they can't be read."""
    for path in [fields.caption] if fields.caption else ["txt", "json/caption"]:
        if captions := dict.fromkeys(texts(_field(tar, row, path))):
            yield from captions
            return


def _label(tar: tarfile.TarFile, row: dict[str, Any], path: str) -> int | None:
    """The row's label; None: it has none, or none is asked for."""
    found = _field(tar, row, path) if path else None
    text = " ".join(found) if isinstance(found, list) else str(found)
    return int(text) if text.strip().isdecimal() else None


def _field(tar: tarfile.TarFile, row: dict[str, Any], path: str) -> Any:
    """What lies at "txt", its lines, or at "json/title"; None: nothing that can be read."""
    suffix, _, inner = path.partition("/")
    if suffix not in row:
        return None
    file = tar.extractfile(row[suffix])
    text = io.TextIOWrapper(file, "utf-8", "replace").read() if file else ""
    if suffix != "json":
        return text.splitlines()
    try:
        return inside(json.loads(text), inner.split("/") if inner else [])
    except (ValueError, KeyError):
        return None


def _read(path: str, start: int, size: int, name: str) -> bytes:
    system, plain = fsspec.core.url_to_fs(path)
    data = _tried(lambda: system.cat_file(plain, start=start, end=start + size), name)
    if len(data) != size:
        raise images.BrokenImage(f"cannot read the picture {name}: the shard is cut off")
    return data


def _tried(read: Any, name: str) -> Any:
    """The result, at the last of a few tries; BrokenImage: none succeeded."""
    for pause in (*PAUSES_S, None):
        try:
            return read()
        except FileNotFoundError as error:
            raise images.BrokenImage(f"cannot read {name}: it is not there any more") from error
        except Exception as error:  # each file system fails in its own ways
            if pause is None or isinstance(error, ImportError):
                raise images.BrokenImage(f"cannot read {name}: {_why(error)}") from error
            time.sleep(pause)


def _why(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or one_line(error)
    if isinstance(error, ImportError):
        reason += "; pip install 'glide_jax[remote]'"
    return reason[:200]
