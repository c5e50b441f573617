"""Data sets that are made once and kept as ArrayRecord files by TensorFlow Datasets.

Every one of them stores the same features, so that one class reads them all. TensorFlow
itself is not needed: neither to write ArrayRecord nor to read it.
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

from glide_jax.data import images
from glide_jax.data.source import Example, checked
from glide_jax.errors import UserError, unknown_name
from glide_jax.locking import lock

FILE_FORMAT = "array_record"
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}
_log = logging.getLogger(__name__)


def features(classes: Sequence[str] = ()) -> tfds.features.FeaturesDict:
    """Return what a record holds: the PNG's bytes, its captions, its facts as JSON, its label.

    Args:
        classes: names of what labels number; (): there are no labels.
    """
    kinds: dict[str, Any] = {
        # Not tfds.features.Image: its decoder keeps palettes and alpha as they are.
        "image": tfds.features.Tensor(shape=(), dtype=np.object_),
        "captions": tfds.features.Sequence(tfds.features.Text()),
        "facts": tfds.features.Text(),
    }
    if classes:
        kinds["label"] = tfds.features.ClassLabel(names=list(classes))
    return tfds.features.FeaturesDict(kinds)


def record(example: Example) -> dict[str, Any]:
    """Turn an example into what a builder's `_generate_examples` yields beside its key."""
    label = {} if example.label is None else {"label": example.label}
    return label | {
        "image": images.encode_png(example.image),
        "captions": list(example.captions),
        "facts": json.dumps(dict(example.facts), sort_keys=True),
    }


def data_dir() -> str:
    """Return the folder of all prepared data sets: TFDS_DATA_DIR, else TFDS's own default."""
    return os.path.expanduser(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def prepare(builder: tfds.core.DatasetBuilder) -> None:
    """Make the data set on disk; nothing happens if it is there.

    Raises:
        UserError: the disk is full or may not be written, or what is there is damaged.
    """

    def make() -> None:
        _log.info("making the data set %s in %s, once", _name(builder), builder.data_path)
        # TFDS prints of downloads; there are none.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(file_format=FILE_FORMAT)

    tfds.display_progress_bar(sys.stderr.isatty())
    try:
        make_once(builder, make)
    except (OSError, RuntimeError) as error:
        # array_record tells of a full disk in words only.
        if isinstance(error, RuntimeError) and os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise UserError(
            f"cannot write the data set {_name(builder)} to {builder.data_path}: {error}; "
            "set TFDS_DATA_DIR to a folder with room"
        ) from error


def make_once(builder: tfds.core.DatasetBuilder, make: Callable[[], None]) -> None:
    """Make a data set, unless it is there.

    Of several processes one makes it and the others wait. What a process that was killed left of
    it is cleared away.

    Args:
        builder: of the data set.
        make: what makes it.

    Raises:
        UserError: what is there is damaged.
        Exception: what `make` raises, or OSError: the folder can't be written to.
    """
    if is_prepared(builder):
        return
    if builder.data_path.exists():
        raise UserError(f"{builder.data_path} is damaged: delete that folder, it is made again")
    try:
        with _alone(builder):
            if not is_prepared(builder):  # else another process has made it meanwhile
                make()
    except Exception:
        # Without a lock, another process may have been quicker.
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
        source = PreparedSource(records, _classes(builder))
        len(source)  # TFDS finds out here that a slice ends before it starts
        return source
    except ValueError as error:
        raise UserError(
            f"cannot read the slice {split!r}: write it as train[:100], inside of the "
            f"{builder.info.splits[name].num_examples} pictures there are"
        ) from error


class PreparedSource:
    """A Source over the records of a prepared split.

    Args:
        records: TFDS's.
        classes: see Source.
    """

    def __init__(self, records: Any, classes: tuple[str, ...] | None):
        self._records, self._classes = records, classes

    @property
    def classes(self) -> tuple[str, ...] | None:
        """See Source."""
        return self._classes

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
        """Return the captions of picture i without decoding it."""
        return _captions(self._record(i))

    def _record(self, i: int) -> dict[str, Any]:
        return self._records[checked(i, len(self))]


def _classes(builder: tfds.core.DatasetBuilder) -> tuple[str, ...] | None:
    features: Any = builder.info.features
    return tuple(features["label"].names) if "label" in features else None


def _captions(record: dict[str, Any]) -> tuple[str, ...]:
    return tuple(caption.decode() for caption in record["captions"])


@contextlib.contextmanager
def _alone(builder: tfds.core.DatasetBuilder) -> Iterator[None]:
    """Keep other processes from making the data set, and clear what killed ones left of it.

    In a bucket, and where the file system has no locks, nobody is kept out, and nothing is
    cleared: it could be another process's, at work.
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
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        else:
            for left in Path(folder).glob(f"incomplete.*_{version}"):
                shutil.rmtree(left, ignore_errors=True)
        yield


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Tell whether the data set is on disk."""
    # TFDS's own is_prepared warns of a folder that is not there.
    return builder.data_path.exists() and builder.is_prepared()


def _name(builder: tfds.core.DatasetBuilder) -> str:
    return (
        f"{builder.name}/{builder.builder_config.name}" if builder.builder_config else builder.name
    )
