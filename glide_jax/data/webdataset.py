"""Tar shards as img2dataset writes them, local or remote: "webdataset".

A shard is a tar file, not compressed; the files of one image are adjacent and share a name:

    000000012.jpg  000000012.txt  000000012.json

data.path is a folder of shards, a glob pattern, or several shards in braces or joined by "::", on
any file system that fsspec knows:

    ~/laion                        gs://bucket/laion/{00000..00127}.tar
    ~/laion/0000*.tar              https://host/laion/{00000..00127}.tar

The captions are the lines of the `txt` file, or the "caption" of the `json` file: a string or a
list of strings. A field map names others: "webdataset?caption=json/title", and the suffix of the
image: "webdataset?image=png". Labels are integers: "webdataset?label=cls", or
"webdataset?label=json/class".

Each shard is read once from end to end, and an index of its images and captions kept in the cache
folder. After that, an image is one read of its own bytes, in any order. Rows without an image or a
caption are skipped; one line of the log counts and names them.
"""

import logging
from pathlib import Path
from typing import Any

from glide_jax.data import images
from glide_jax.data.fields import Fields, split_fields
from glide_jax.data.filenames import printable
from glide_jax.data.outages import Outages
from glide_jax.data.remote import is_remote, read_range
from glide_jax.data.run_shards import keep_shards, kept_shards
from glide_jax.data.shards import CAPTION_LINE, Shard, index_of, shards_of
from glide_jax.data.source import Example, checked_index, fingerprint_of
from glide_jax.data.splitting import check_split, describe_split, held_out, split_indices
from glide_jax.errors import UserError, a_few

_log = logging.getLogger(__name__)


def prepare(variant: str, path: str) -> None:
    """Make the index of every shard that has none yet.

    Args:
        variant: a field map, or "".
        path: the shards.

    Raises:
        UserError: there are no shards, or one can't be read.
    """
    shards_of(path, _fields(variant))


def open_split(variant: str, path: str, split: str) -> "WebDataset":
    """Open the "train" or "test" split; an image's name alone decides which one it is in.

    Raises:
        UserError: as for `prepare`; no such split, or no image with a caption.
    """
    check_split(split, "shards")
    fields = _fields(variant)
    return WebDataset(path, shards_of(path, fields), split, fields)


def open_kept(variant: str, path: str, split: str, file: Path) -> "WebDataset | None":
    """Open a split for a run that goes on: with the shards that it began with, and no others.

    Args:
        variant, path, split: as for `open_split`.
        file: of `WebDataset.keep`.

    Returns:
        None: there is no such file, or it is of another path.

    Raises:
        UserError: as for `prepare` and `open_split`, or the file is damaged.
    """
    check_split(split, "shards")
    fields = _fields(variant)
    began = kept_shards(file, path, fields)
    return (
        None if began is None else WebDataset(path, shards_of(path, fields, began), split, fields)
    )


class WebDataset:
    """A Source over the images of tar shards.

    Args:
        path: names the shards, for messages.
        shards: of `shards_of`.
        split: "train" or "test".
        fields: the suffixes of the image, the caption and the label.

    Raises:
        UserError: see `open_split`.
    """

    def __init__(self, path: str, shards: tuple[Shard, ...], split: str, fields: Fields):
        # Workers get the shards that were found: another may be found meanwhile.
        self._arguments, self._fields = (path, shards, split, fields), fields
        index = index_of(shards)
        summary = f"{path}: {len(index.names)} images with captions in {len(index.shards)} shards"
        if index.skipped:
            few = a_few([printable(name) for name in index.skipped])
            summary += f"; skipped {len(index.skipped)} without an image or a caption ({few})"
        if not index.names:
            raise UserError(f"{summary}; is this what img2dataset wrote? See docs/data.md")
        tests = held_out(index.names)
        summary += f"; {describe_split(tests)}"
        _log.log(logging.WARNING if index.skipped else logging.INFO, "%s", summary)
        self._outages = Outages(len(index.shards))
        for shard in shards:
            if shard.reason:
                self._outages.failed(shard.url, shard.reason)
        self._index, self._rows = index, split_indices(tests, split, summary)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """See Source."""
        return () if self._fields.label else None

    @property
    def is_far(self) -> bool:
        """See Source."""
        return any(map(is_remote, self._index.shards))

    @property
    def fingerprint(self) -> str:
        """See Source: of the names, sizes, captions and labels in the index."""
        index = self._index
        return fingerprint_of(
            part
            for row in self._rows
            for part in (
                index.names[row],
                int(index.where[row, 2]),
                index.captions[row],
                str(index.labels[row]),
            )
        )

    def keep(self, file: Path) -> None:
        """Write to the workdir of a run what it begins with; see `open_kept`.

        Raises:
            DiskError: it can't be written.
        """
        path, shards, _, fields = self._arguments
        keep_shards(file, path, fields, shards)

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return WebDataset, self._arguments

    def __getitem__(self, i: int) -> Example:
        captions = self.captions(i)
        row = self._rows[i]
        shard, start, size = (int(x) for x in self._index.where[row])
        path = self._index.shards[shard]
        name = printable(f"{self._index.names[row]} of {path}")
        data = self._read(path, start, size, name)
        label = self._index.labels[row]
        return Example(images.decode(data, name), captions, facts={}, label=label)

    def _read(self, shard: str, start: int, size: int, name: str) -> bytes:
        """The bytes of an image; Unavailable: its shard can't be read now."""
        if self._outages.is_left_alone(shard):
            raise images.Unavailable(f"cannot read {name}: its shard failed, and is tried later")
        try:
            retries = self._outages.has_retries(shard)
            data = read_range(shard, start, size, name, retries=retries)
        except images.BrokenImage as error:
            gone = isinstance(error.__cause__, FileNotFoundError)  # the shard, not the image
            if not gone and not isinstance(error, images.Unavailable):
                raise
            self._outages.failed(shard, str(error))
            raise images.Unavailable(str(error)) from error
        self._outages.worked(shard)
        return data

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of image i without reading it."""
        row = self._rows[checked_index(i, len(self))]
        return tuple(self._index.captions[row].split(CAPTION_LINE))


def _fields(variant: str) -> Fields:
    name, fields = split_fields(variant)
    if name:
        raise UserError(
            f"the source 'webdataset' has no variant {name!r}: write just 'webdataset', and set "
            "data.path to the shards"
        )
    return fields
