"""Data sets that are made once and kept as ArrayRecord files by TensorFlow Datasets.

All of them store the same features, so that one class reads them all. Writing and reading
ArrayRecord files does not need TensorFlow itself.
"""

import contextlib
import errno
import io
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from glide_jax.cache import NoLocks, lock
from glide_jax.data import images
from glide_jax.data.source import Example, checked_index, fingerprint_of
from glide_jax.errors import UserError, unknown_name

FILE_FORMAT = "array_record"
_log = logging.getLogger(__name__)


def features(classes: Sequence[str] = ()) -> tfds.features.FeaturesDict:
    """Return the features of a record: PNG bytes, captions, facts as JSON, and the label.

    Args:
        classes: names of the classes, by label; (): there are no labels.
    """
    kinds: dict[str, Any] = {
        # Not tfds.features.Image, whose decoder leaves palettes and alpha as they are.
        "image": tfds.features.Tensor(shape=(), dtype=np.object_),
        "captions": tfds.features.Sequence(tfds.features.Text()),
        "facts": tfds.features.Text(),
    }
    if classes:
        kinds["label"] = tfds.features.ClassLabel(names=list(classes))
    return tfds.features.FeaturesDict(kinds)


def record(example: Example) -> dict[str, Any]:
    """Return an example as a record, for a builder's `_generate_examples`."""
    label = {} if example.label is None else {"label": example.label}
    return label | {
        "image": images.encode_png(example.image),
        "captions": list(example.captions),
        "facts": json.dumps(dict(example.facts), sort_keys=True),
    }


def data_dir() -> str:
    """Return the folder of all prepared data sets: TFDS_DATA_DIR, else TFDS's own default."""
    return os.path.expanduser(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def refuse_images(path: str, name: str) -> None:
    """Check that the folder that a data set is to be kept in is not somebody's images.

    Args:
        path: the folder; "": the default.
        name: of the data set.

    Raises:
        UserError: there are images in it, which whoever gave it wants to train on.
    """
    if not os.path.isdir(path):
        return
    with os.scandir(path) as entries:
        names = (entry.name for entry in entries)
        found = next((n for n in names if n.lower().endswith(tuple(images.SUFFIXES))), None)
    if found is not None:
        raise UserError(
            f"{path} holds images ({found}), and {name} is made here and kept there: to train on "
            "those images set data.source=folder, else leave data.path out"
        )


def prepare(builder: tfds.core.DatasetBuilder) -> None:
    """Write the data set to disk, unless it is there.

    Raises:
        UserError: the disk is full or not writable, or the data set there is damaged.
    """

    def make() -> None:
        _log.info("making the data set %s in %s, once", _name(builder), builder.data_path)
        # TFDS prints lines about downloads; there are none.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(file_format=FILE_FORMAT)

    tfds.display_progress_bar(sys.stderr.isatty())
    try:
        make_once(builder, make)
    except (OSError, RuntimeError) as error:
        # array_record reports a full disk in words only.
        if isinstance(error, RuntimeError) and os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise UserError(
            f"cannot write the data set {_name(builder)} to {builder.data_path}: {error}; "
            "set TFDS_DATA_DIR to a folder with room"
        ) from error


def make_once(builder: tfds.core.DatasetBuilder, make: Callable[[], None]) -> None:
    """Make a data set, unless it is there.

    One of several processes makes it and the others wait. The unfinished files of a process that
    was killed are removed first.

    Args:
        builder: of the data set.
        make: makes it.

    Raises:
        UserError: the data set there is damaged.
        OSError: the folder is not writable.
        Exception: whatever `make` raises.
    """
    if is_prepared(builder):
        return
    if builder.data_path.exists():
        raise UserError(f"{builder.data_path} is damaged: delete that folder and run again")
    try:
        with _exclusive(builder):
            if not is_prepared(builder):  # else another process has made it
                make()
    except Exception:
        # Without a lock, another process may have made it first.
        if not is_prepared(builder):
            raise


def open_split(builder: tfds.core.DatasetBuilder, split: str) -> "PreparedSource":
    """Open a split, or a slice of one as TFDS writes it: "train", "test[:100]", "train[10%:]".

    Raises:
        UserError: the data set is not on disk, or has no such split.
    """
    if not is_prepared(builder):
        raise UserError(f"no data set {_name(builder)} at {builder.data_path}: prepare it first")
    known = list(builder.info.splits)
    name = split.split("[")[0]
    if name not in known:
        raise unknown_name(f"split of {_name(builder)}", name, known)
    try:
        # TFDS's decorator hides the parameters.
        records = builder.as_data_source(split)  # pyright: ignore[reportCallIssue]
        source = PreparedSource(records, _classes(builder), builder.info.full_name)
        len(source)  # TFDS finds out here whether a slice ends before it starts
        return source
    except ValueError as error:
        raise UserError(
            f"cannot read the slice {split!r}: write it as train[:100]; the split has "
            f"{builder.info.splits[name].num_examples} images"
        ) from error


class PreparedSource:
    """A Source over the records of a prepared split.

    Args:
        records: TFDS's data source of the split.
        classes: see Source.
        name: of the data set, with its version.
    """

    def __init__(self, records: Any, classes: tuple[str, ...] | None, name: str):
        self._records, self._classes, self._name = records, classes, name

    @property
    def classes(self) -> tuple[str, ...] | None:
        """See Source."""
        return self._classes

    @property
    def fingerprint(self) -> str:
        """See Source: TFDS gives other data another version."""
        return fingerprint_of([self._name, len(self)])

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, i: int) -> Example:
        record = self._record(i)
        return Example(
            image=images.decode(bytes(record["image"]), f"number {i}"),
            captions=_captions(record),
            facts=json.loads(record["facts"]),
            label=None if self._classes is None else int(record["label"]),
        )

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of image i without decoding it."""
        return _captions(self._record(i))

    def _record(self, i: int) -> dict[str, Any]:
        return self._records[checked_index(i, len(self))]


def _classes(builder: tfds.core.DatasetBuilder) -> tuple[str, ...] | None:
    features: Any = builder.info.features
    return tuple(features["label"].names) if "label" in features else None


def _captions(record: dict[str, Any]) -> tuple[str, ...]:
    return tuple(caption.decode() for caption in record["captions"])


@contextlib.contextmanager
def _exclusive(builder: tfds.core.DatasetBuilder) -> Iterator[None]:
    """Lock out other processes, and remove the unfinished files of those that were killed.

    In a bucket, and on a file system without locks, several processes may make the data set at
    once, and nothing is removed: it may belong to one that is running.
    """
    folder, version = builder.data_path.parent, builder.data_path.name
    if "://" in os.fspath(folder):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    waiting = f"{_name(builder)}: another process is making it; waiting"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock(Path(folder) / f".{version}.lock", waiting))
        except NoLocks:
            pass
        else:
            for left in Path(folder).glob(f"incomplete.*_{version}"):
                shutil.rmtree(left, ignore_errors=True)
        yield


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Return whether the data set is on disk, complete."""
    # TFDS's own is_prepared warns if the folder does not exist.
    return builder.data_path.exists() and builder.is_prepared()


def _name(builder: tfds.core.DatasetBuilder) -> str:
    return (
        f"{builder.name}/{builder.builder_config.name}" if builder.builder_config else builder.name
    )
