"""Data sets as Hugging Face keeps them: a name of its hub, or parquet files of one's own.

    huggingface/NAME         from the hub, downloaded once
    huggingface              data.path is a folder, or parquet files: "~/mine/*.parquet"

A picture is a column of the type Image, or one of bytes; a caption is a column of strings, of lists
of them, or of classes. Where there are several: "huggingface/NAME?image=photo&caption=title". Needs
the extra `huggingface`; the package `datasets` lays the rows out on disk where any can be read.
"""

import glob
import os
from typing import Any

from glide_jax.data import images
from glide_jax.data.fields import Fields, likely_caption, split_fields, texts
from glide_jax.data.source import Example, checked
from glide_jax.errors import UserError, one_line


def prepare(variant: str, path: str) -> None:
    """Download the data set, and lay it out on disk, once.

    Raises:
        UserError: see `open_split`.
    """
    _loaded(split_fields(variant)[0], path, None)


def open_split(variant: str, path: str, split: str) -> "HuggingFaceSource":
    """Open a split, or a slice of one: "train", "train[:1000]".

    Args:
        variant: a name of the hub; "": the path's files.
        path: a folder, or a pattern of parquet files.
        split: as `datasets` writes it; files whose names say nothing are "train".

    Raises:
        UserError: the extra is not installed, no such data set, split or column.
    """
    name, fields = split_fields(variant)
    return HuggingFaceSource(name, path, split, fields)


class HuggingFaceSource:
    """A Source over the rows of a split.

    Args:
        name: of the hub; "": the path's files.
        path: a folder, or a pattern of parquet files.
        split: which.
        fields: the picture's column, the caption's and the label's.

    Raises:
        UserError: see `open_split`.
    """

    def __init__(self, name: str, path: str, split: str, fields: Fields):
        self._arguments = (name, path, split, fields)
        self._name = name or path
        self._rows, found = _columns(_loaded(name, path, split), fields, self._name)
        self._image, self._caption, self._label = found.image, found.caption, found.label
        self._names = _names(self._rows.features[self._caption])
        self._captions = self._rows.select_columns([self._caption])

    @property
    def classes(self) -> tuple[str, ...] | None:
        """See Source."""
        return tuple(_names(self._rows.features[self._label])) if self._label else None

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return HuggingFaceSource, self._arguments

    def __getitem__(self, i: int) -> Example:
        captions = self.captions(i)
        where = f"number {i} of {self._name}"
        row = self._rows[int(i)]
        data = row[self._image]
        if isinstance(data, dict):  # the type Image, not decoded
            data = data["bytes"] or _read(data["path"], where)
        if not data:
            raise images.BrokenImage(f"cannot read the picture {where}: it is empty")
        label = row[self._label] if self._label else None
        return Example(images.decode(data, where), captions, facts={}, label=label)

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of picture i without reading it."""
        value = self._captions[checked(i, len(self))][self._caption]
        if self._names:
            value = None if value is None else self._names[value].replace("_", " ")
        return tuple(dict.fromkeys(texts(value)))


def _read(path: str | None, where: str) -> bytes:
    try:
        with open(path or "", "rb") as file:
            return file.read()
    except OSError as error:
        raise images.BrokenImage(f"cannot read the picture {where}: {error.strerror}") from error


def _loaded(name: str, path: str, split: str | None) -> Any:
    """What `datasets` gives for it; a split, or all of them."""
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
    try:
        if name:
            return datasets.load_dataset(name, split=split, cache_dir=path or None)
        path = os.path.expanduser(path)
        if os.path.isdir(path):
            return datasets.load_dataset(path, split=split)
        if "://" not in path and not glob.glob(path):
            raise UserError(f"no file is called {path}; set data.path to a folder or a pattern")
        return datasets.load_dataset("parquet", data_files=path, split=split)
    except UserError:
        raise
    except Exception as error:  # the hub, the network, the files: each fails in its own ways
        said = one_line(error)[:200]
        raise UserError(f"can't open the data set {name or path}: {said}") from error


def _columns(rows: Any, fields: Fields, where: str) -> tuple[Any, Fields]:
    """(rows with their pictures left encoded, the columns)."""
    import datasets

    kinds = rows.features
    for name in filter(None, (fields.image, fields.caption, fields.label)):
        if name not in kinds:
            raise UserError(f"{where} has no column {name!r}; it has {', '.join(kinds)}")
    pictures = [n for n, kind in kinds.items() if isinstance(kind, datasets.Image)]
    pictures = pictures or [n for n, kind in kinds.items() if _is_bytes(kind)]
    image = fields.image or (pictures[0] if len(pictures) == 1 else "")
    if not image:
        some = f"one of {', '.join(pictures)}" if pictures else "it has no pictures"
        raise UserError(f"{where} does not say which column is the picture: ?image=FIELD, {some}")
    caption = fields.caption or likely_caption(
        (n for n, kind in kinds.items() if n != image and _is_text(kind)), where
    )
    if isinstance(kinds[image], datasets.Image):
        rows = rows.cast_column(image, datasets.Image(decode=False))
    return rows, Fields(image, caption, _label(kinds, fields.label, where))


def _label(kinds: Any, label: str, where: str) -> str:
    """The column that holds the class, where there is one."""
    if not label:
        classes = [name for name, kind in kinds.items() if _names(kind)]
        return classes[0] if len(classes) == 1 else ""
    if "int" not in getattr(kinds[label], "dtype", ""):
        raise UserError(f"the column {label!r} of {where} holds no whole numbers: no labels")
    return label


def _names(kind: Any) -> list[str]:
    """Names of the classes that a column holds; []: it holds none."""
    return list(getattr(kind, "names", None) or [])


def _is_bytes(kind: Any) -> bool:
    # A column that pandas or pyarrow wrote of {"bytes", "path"} has no type of its own.
    inner = kind.get("bytes") if isinstance(kind, dict) else kind
    return getattr(inner, "dtype", "") in ("binary", "large_binary")


def _is_text(kind: Any) -> bool:
    inner = getattr(kind, "feature", kind)
    is_class = hasattr(kind, "names")
    return is_class or getattr(inner, "dtype", "") in ("string", "large_string")
