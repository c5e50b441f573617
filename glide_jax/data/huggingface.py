"""Data sets in Hugging Face's formats: a data set of the hub, or your own parquet files.

    huggingface/NAME         from the hub, downloaded once
    huggingface              data.path is a folder, or parquet files: "~/mine/*.parquet"

The image is a column of the type Image, or of bytes; the caption is a column of strings, of lists
of strings, or of classes. If there are several: "huggingface/NAME?image=photo&caption=title". Needs
the extra `huggingface`; the package `datasets` stores the rows so that any of them can be read.

Rows without a caption (null, empty, a class of -1) are skipped; a line of the log counts them.
"""

import contextlib
import glob
import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from glide_jax.data import images
from glide_jax.data.fields import Fields, caption_field, class_caption, split_fields, texts
from glide_jax.data.network import unreachable
from glide_jax.data.source import Example, checked_index, fingerprint_of
from glide_jax.errors import UserError, one_line

_ROWS_AT_ONCE = 10_000
_log = logging.getLogger(__name__)


def prepare(variant: str, path: str) -> None:
    """Download the data set and store its rows, once.

    Raises:
        UserError: see `open_split`.
    """
    _loaded(split_fields(variant)[0], path, None)


def open_split(variant: str, path: str, split: str) -> "HuggingFaceSource":
    """Open a split, or a slice of one: "train", "train[:1000]".

    Args:
        variant: a name in the hub; "": the files at `path`.
        path: a folder, or a glob pattern of parquet files.
        split: as `datasets` writes it; files whose names contain no split are "train".

    Raises:
        UserError: the extra is not installed; no such data set, split or column.
    """
    name, fields = split_fields(variant)
    return HuggingFaceSource(name, path, split, fields)


class HuggingFaceSource:
    """A Source over the rows of a split.

    Args:
        name: in the hub; "": the files at `path`.
        path: a folder, or a glob pattern of parquet files.
        split: the split, or a slice of it.
        fields: the columns of the image, the caption and the label.
        usable: i64[n], the rows that have captions, if they are known already.

    Raises:
        UserError: see `open_split`.
    """

    def __init__(
        self, name: str, path: str, split: str, fields: Fields, usable: np.ndarray | None = None
    ):
        self._arguments = (name, path, split, fields)
        self._name = name or path
        self._rows, found = _columns(_loaded(name, path, split), fields, self._name)
        self._image, self._caption, self._label = found.image, found.caption, found.label
        self._names = _names(self._rows.features[self._caption])
        self._captions = self._rows.select_columns([self._caption])
        self._usable = self._with_captions() if usable is None else usable

    @property
    def classes(self) -> tuple[str, ...] | None:
        """See Source."""
        return tuple(_names(self._rows.features[self._label])) if self._label else None

    @property
    def fingerprint(self) -> str:
        """See Source: of the captions, and of the images' sizes."""
        sizes = _byte_counts(self._rows.data.column(self._image))
        captions = (caption for i in range(len(self)) for caption in self.captions(i))
        return fingerprint_of([len(self), sizes[self._usable].tobytes(), *captions])

    def __len__(self) -> int:
        return len(self._usable)

    def __reduce__(self) -> tuple[Any, ...]:
        return HuggingFaceSource, (*self._arguments, self._usable)

    def __getitem__(self, i: int) -> Example:
        captions = self.captions(i)
        index = int(self._usable[i])
        where = f"number {index} of {self._name}"
        row = self._rows[index]
        data = row[self._image]
        if isinstance(data, dict):  # the type Image, not decoded
            data = data["bytes"] or _read(data["path"], where)
        if not data:
            raise images.BrokenImage(f"cannot read the image {where}: it is empty")
        label = row[self._label] if self._label else None
        return Example(images.decode(data, where), captions, facts={}, label=label)

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of image i without reading it."""
        index = int(self._usable[checked_index(i, len(self))])
        return self._texts(self._captions[index][self._caption])

    def _texts(self, value: Any) -> tuple[str, ...]:
        if self._names:
            value = class_caption(self._names, value)
        return tuple(dict.fromkeys(texts(value)))

    def _with_captions(self) -> np.ndarray:
        """Return the rows that have captions; the others are counted in the log."""
        usable = [
            start + i
            for start in range(0, len(self._captions), _ROWS_AT_ONCE)
            for i, value in enumerate(self._captions[start : start + _ROWS_AT_ONCE][self._caption])
            if self._texts(value)
        ]
        count = len(self._captions)
        summary = f"{self._name}: {len(usable)} images with captions"
        if len(usable) < count:
            first = next(i for i in range(count) if i >= len(usable) or usable[i] != i)
            summary += f"; skipped {count - len(usable)} without a caption (the first: {first})"
            _log.warning("%s", summary)
        if not usable:
            raise UserError(f"{summary}; choose another column: ?caption=FIELD")
        return np.array(usable, np.int64)


def _byte_counts(column: Any) -> np.ndarray:
    """Return i64[n], the size of each image in a column of images or bytes; -1: it is null."""
    import pyarrow
    import pyarrow.compute

    compute: Any = pyarrow.compute
    if pyarrow.types.is_struct(column.type):  # the type Image
        column = compute.struct_field(column, "bytes")
    lengths = compute.fill_null(compute.cast(compute.binary_length(column), "int64"), -1)
    return np.asarray(lengths)


def _read(path: str | None, where: str) -> bytes:
    try:
        with open(path or "", "rb") as file:
            return file.read()
    except OSError as error:
        raise images.BrokenImage(f"cannot read the image {where}: {error.strerror}") from error


def _loaded(name: str, path: str, split: str | None) -> Any:
    """Load a split with `datasets`; None: all splits."""
    try:
        import datasets
    except ImportError:
        raise UserError(
            'the source "huggingface" needs the package datasets: pip install '
            "'glide_jax[huggingface]'"
        ) from None
    datasets.disable_progress_bars()
    if not name and not path:
        raise UserError(
            'the source "huggingface" needs a name, "huggingface/NAME", or data.path: a folder or '
            "a pattern of parquet files"
        )
    offline = _why_offline(name, path)
    try:
        if name:
            with _offline(datasets) if offline else contextlib.nullcontext():
                return datasets.load_dataset(name, split=split, cache_dir=path or None)
        if offline:
            raise UserError(f"can't open the data set {path}: {offline}; connect to the network")
        path = os.path.expanduser(path)
        if os.path.isdir(path):
            if path == glob.escape(path):
                return datasets.load_dataset(path, split=split)
            # `datasets` takes a folder called "my [set]" for a pattern.
            return datasets.load_dataset("parquet", data_dir=glob.escape(path), split=split)
        if os.path.exists(path):
            path = glob.escape(path)
        elif "://" not in path and not glob.glob(path):
            raise UserError(f"no file is called {path}; set data.path to a folder or a pattern")
        return datasets.load_dataset("parquet", data_files=path, split=split)
    except UserError:
        raise
    except Exception as error:  # the hub, the network and the files raise errors of many types
        if offline:
            raise UserError(
                f"can't open the data set {name}: {offline}, and it is not in the cache; connect "
                "to the network, or set data.path to files of it and data.source to huggingface"
            ) from error
        reason = one_line(error)[:200]
        raise UserError(f"can't open the data set {name or path}: {reason}") from error


def _why_offline(name: str, path: str) -> str:
    """Return why a data set's server can't be reached; "": it can be, or none is needed."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "offline, as HF_HUB_OFFLINE says" if name else ""
    if name:
        return "" if os.path.isdir(name) else unreachable(constants.ENDPOINT)
    return unreachable(constants.ENDPOINT if path.startswith("hf://") else path)


@contextlib.contextmanager
def _offline(datasets: Any) -> Iterator[None]:
    """Let `datasets` read its cache alone: it would retry an absent network for a minute."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _columns(rows: Any, fields: Fields, where: str) -> tuple[Any, Fields]:
    """Return (the rows, images not decoded, the columns of image, caption and label)."""
    import datasets

    kinds = rows.features
    for name in filter(None, (fields.image, fields.caption, fields.label)):
        if name not in kinds:
            raise UserError(f"{where} has no column {name!r}; it has {', '.join(kinds)}")
    images = [n for n, kind in kinds.items() if isinstance(kind, datasets.Image)]
    images = images or [n for n, kind in kinds.items() if _is_bytes(kind)]
    image = fields.image or (images[0] if len(images) == 1 else "")
    if not image:
        some = f"one of {', '.join(images)}" if images else "it has no images"
        raise UserError(f"{where} does not say which column is the image: ?image=FIELD, {some}")
    caption = fields.caption or caption_field(
        (n for n, kind in kinds.items() if n != image and _is_text(kind)), where
    )
    if isinstance(kinds[image], datasets.Image):
        rows = rows.cast_column(image, datasets.Image(decode=False))
    return rows, Fields(image, caption, _label(kinds, fields.label, where))


def _label(kinds: Any, label: str, where: str) -> str:
    """Return the column with the label; "": there is none."""
    if not label:
        classes = [name for name, kind in kinds.items() if _names(kind)]
        return classes[0] if len(classes) == 1 else ""
    if "int" not in getattr(kinds[label], "dtype", ""):
        raise UserError(f"the column {label!r} of {where} has no integers: it can't be the label")
    return label


def _names(kind: Any) -> list[str]:
    """Return the names of a column's classes; []: it is not a class column."""
    return list(getattr(kind, "names", None) or [])


def _is_bytes(kind: Any) -> bool:
    # Written by pandas or pyarrow, a column of {"bytes", "path"} does not have the type Image.
    inner = kind.get("bytes") if isinstance(kind, dict) else kind
    return getattr(inner, "dtype", "") in ("binary", "large_binary")


def _is_text(kind: Any) -> bool:
    inner = getattr(kind, "feature", kind)
    is_class = hasattr(kind, "names")
    return is_class or getattr(inner, "dtype", "") in ("string", "large_string")
