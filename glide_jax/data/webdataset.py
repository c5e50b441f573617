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

import logging
from typing import Any

from glide_jax.data import images
from glide_jax.data.fields import Fields, split_fields
from glide_jax.data.remote import read_range
from glide_jax.data.shards import CAPTION_LINE, index_of
from glide_jax.data.source import Example, checked
from glide_jax.data.splitting import check_split, kept_back, places
from glide_jax.errors import UserError, a_few

_log = logging.getLogger(__name__)


def prepare(variant: str, path: str) -> None:
    """Make the index of every shard that has none yet.

    Args:
        variant: a field map, or nothing.
        path: the shards.

    Raises:
        UserError: there are no shards there, or one can't be read.
    """
    index_of(path, _fields(variant))


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
        index = index_of(path, fields)
        summary = f"{path}: {len(index.names)} pictures with captions in {len(index.shards)} shards"
        if index.skipped:
            few = a_few(index.skipped)
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
        data = read_range(path, start, size, name)
        label = self._index.labels[place]
        return Example(images.decode(data, name), captions, facts={}, label=label)

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of picture i without reading it."""
        place = self._places[checked(i, len(self))]
        return tuple(self._index.captions[place].split(CAPTION_LINE))


def _fields(variant: str) -> Fields:
    name, fields = split_fields(variant)
    if name:
        raise UserError(
            f"the source 'webdataset' has no variant {name!r}: write just 'webdataset', and where "
            "the shards lie in data.path"
        )
    return fields
