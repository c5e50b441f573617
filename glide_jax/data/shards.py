"""The index of tar shards: which pictures with captions they hold, and where each lies.

A shard is read through once, and its index kept in the cache folder.
"""

import functools
import hashlib
import io
import itertools
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from tqdm import tqdm

from glide_jax.data import images
from glide_jax.data.fields import Fields, inside, texts
from glide_jax.data.remote import find_tars, tried, why
from glide_jax.errors import UserError
from glide_jax.text.vocabulary import cache_folder

CAPTION_LINE = "\n"
"""Stands between the captions of a row."""


class Index:
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


@functools.lru_cache(maxsize=4)
def index_of(path: str, fields: Fields) -> Index:
    """The index of every shard that a path names, read or made.

    Args:
        path: as for `find_tars`.
        fields: what of a row is the picture, the caption and the label.

    Raises:
        UserError: there are no shards there, or one can't be read.
    """
    shards = find_tars(path)
    kept = [(shard, _index_file(shard, fields)) for shard in shards]
    missing = [pair for pair in kept if not pair[1].exists()]
    for shard, file in tqdm(missing, "reading shards", unit="shard", disable=not missing):
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(_rows(shard, fields)), encoding="utf-8")
        part.replace(file)
    parts = [json.loads(file.read_text(encoding="utf-8")) for _, file in kept]
    return Index(tuple(shards), parts)


def _index_file(shard: str, fields: Fields) -> Path:
    """Where a shard's index is kept; another one, once the shard is another."""
    system, plain = fsspec.core.url_to_fs(shard)
    info = tried(lambda: system.info(plain), f"the shard {shard}")
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
                result["captions"].append(CAPTION_LINE.join(captions))
                result["labels"].append(_label(tar, row, fields.label))
                result["where"].append([picture.offset_data, picture.size])
            return result
    except Exception as error:  # each file system fails in its own ways
        raise UserError(
            f"can't read the shard {shard}: {why(error)}; put it right, or leave it out of "
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
