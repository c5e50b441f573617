"""Any data set of TensorFlow Datasets by its name: "tfds/coco_captions".

It is downloaded if it is not on disk, and must be stored as ArrayRecord files, which can be read in
any order. The features' types decide which one is the image, the caption and the label, or a field
map does: "tfds/coco_captions?image=image&caption=captions/text". A class feature is the label, and
its name may be the caption. The path is TFDS's data_dir.

To find images without a caption (an empty one, a class of -1), all images would have to be read:
they stay in the source and raise BrokenImage when they are read; training replaces and counts them.
"""

import contextlib
import difflib
import functools
import sys
import urllib.parse
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import download_manager

from glide_jax.data import images, prepared
from glide_jax.data.fields import (
    Fields,
    caption_field,
    class_caption,
    split_fields,
    texts,
    value_at,
)
from glide_jax.data.network import unreachable
from glide_jax.data.source import Example, checked_index, fingerprint_of
from glide_jax.errors import UserError, one_line, unknown_name


def prepare(variant: str, path: str) -> None:
    """Download the data set and store it, once.

    Args:
        variant: its name in TFDS, with a field map or without.
        path: TFDS's data_dir; "": TFDS_DATA_DIR, else TFDS's default.

    Raises:
        UserError: no such data set, or it can't be made on this machine.
    """
    builder = _builder(split_fields(variant)[0], path)

    def make() -> None:
        tfds.display_progress_bar(sys.stderr.isatty())
        with _unreachable_servers_refused():
            builder.download_and_prepare(file_format=prepared.FILE_FORMAT)

    try:
        prepared.make_once(builder, make)
    except UserError:
        raise
    except Exception as error:  # data sets raise errors of many types
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
        raise UserError(
            f"the data set {builder.name} can't be made in {builder.data_path}: {reason}; on a "
            f"machine where it can: tfds build {builder.name} --file_format=array_record"
        ) from error


@contextlib.contextmanager
def _unreachable_servers_refused() -> Iterator[None]:
    """Raise UserError before a download from a server that can't be reached.

    TFDS itself would retry every file for minutes. Files that it has already need no server.
    """
    module: Any = download_manager
    get_downloader = module.get_downloader
    why = functools.cache(unreachable)

    def refusing(*arguments: Any, **keywords: Any) -> Any:
        downloader = get_downloader(*arguments, **keywords)
        download = downloader.download

        def checked(url: str, *arguments: Any, **keywords: Any) -> Any:
            scheme, host = urllib.parse.urlsplit(url)[:2]
            if reason := why(f"{scheme}://{host}"):
                raise UserError(f"can't download the data set: {reason}; connect to the network")
            return download(url, *arguments, **keywords)

        downloader.download = checked
        return downloader

    module.get_downloader = refusing
    try:
        yield
    finally:
        module.get_downloader = get_downloader


def open_split(variant: str, path: str, split: str) -> "NamedSource":
    """Open a split, or a slice of one as TFDS writes it: "train", "validation[:1000]".

    Raises:
        UserError: no such data set, split or field; or it is stored in a format that can only be
            read in order.
    """
    name, fields = split_fields(variant)
    builder = _builder(name, path)
    if not prepared.is_prepared(builder):
        raise UserError(f"no data set {name} at {builder.data_path}: prepare it first")
    known = list(builder.info.splits)
    if split.split("[")[0] not in known:
        raise unknown_name(f"split of {name}", split, known)
    return NamedSource(builder, split, _complete(builder, fields))


class NamedSource:
    """A Source over the records of a split.

    Args:
        builder: of the data set, which is on disk.
        split: the split, or a slice of it.
        fields: the features of the image, the caption and the label ("": no label).

    Raises:
        UserError: the records can't be read in any order.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str, fields: Fields):
        self._name, self._fields = builder.name, fields
        self._full_name = builder.info.full_name
        self._names = _classes(builder.info.features, fields.caption)
        names = _classes(builder.info.features, fields.label) if fields.label else None
        self._classes = None if names is None else tuple(names)
        decoders = {fields.image: tfds.decode.SkipDecoding()}
        try:
            # TFDS's decorator hides the parameters.
            self._records = builder.as_data_source(split, decoders=decoders)  # pyright: ignore
            len(self._records)
        except (NotImplementedError, ValueError) as error:
            raise UserError(
                f"the split {split!r} of {self._name} can't be read in any order "
                f"({one_line(error)[:120]}); store it again: tfds build {self._name} "
                "--file_format=array_record"
            ) from error

    @property
    def classes(self) -> tuple[str, ...] | None:
        """See Source."""
        return self._classes

    @property
    def fingerprint(self) -> str:
        """See Source: TFDS gives other data another version."""
        return fingerprint_of([self._full_name, len(self)])

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, i: int) -> Example:
        record = self._record(i)
        where = f"number {i} of {self._name}"
        captions = self._captions(record)
        if not captions:
            raise images.BrokenImage(f"cannot use the image {where}: it has no caption")
        image = images.decode(bytes(record[self._fields.image]), where)
        label = None
        if self._fields.label:
            label = int(value_at(record, self._fields.label.split("/")))
        return Example(image, captions, facts={}, label=label)

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of image i without decoding it."""
        return self._captions(self._record(i))

    def _record(self, i: int) -> dict[str, Any]:
        return self._records[checked_index(i, len(self))]

    def _captions(self, record: dict[str, Any]) -> tuple[str, ...]:
        value = value_at(record, self._fields.caption.split("/"))
        if self._names:
            value = class_caption(self._names, int(value))
        return tuple(dict.fromkeys(texts(value)))


@functools.cache
def _builder(name: str, path: str) -> tfds.core.DatasetBuilder:
    if not name:
        raise UserError("the source 'tfds' needs a data set's name, such as tfds/coco_captions")
    try:
        return tfds.builder(name, data_dir=path or prepared.data_dir())
    except tfds.core.DatasetNotFoundError:
        near = difflib.get_close_matches(
            name, tfds.list_builders(with_community_datasets=False), n=1
        )
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(
            f"TFDS knows no data set {name!r}: {hint}all are listed at "
            "https://www.tensorflow.org/datasets/catalog"
        ) from None
    except (ValueError, TypeError, ImportError) as error:
        raise UserError(
            f"TFDS can't open the data set {name!r}: {one_line(error)[:200]}"
        ) from error


def _complete(builder: tfds.core.DatasetBuilder, fields: Fields) -> Fields:
    """Return the field map with what it leaves open filled in from the features' types."""
    features: Any = builder.info.features
    where = f"the data set {builder.name}"
    images = [name for name, f in features.items() if isinstance(f, tfds.features.Image)]
    image = fields.image or (images[0] if len(images) == 1 else "")
    if image not in images:
        raise UserError(
            f"{where} does not say which feature is the image: add ?image=FIELD, one of "
            f"{', '.join(images) or 'none: it has no images'}"
        )
    caption = fields.caption or caption_field(_with_text(features), where)
    if _feature(features, caption) is None:
        raise unknown_name(f"feature of {builder.name}", caption, _with_text(features))
    return Fields(image, _text_path(features, caption), _label(features, fields.label, where))


def _label(features: Any, label: str, where: str) -> str:
    """Return the feature with the label; "": there is none."""
    classes = [n for n, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
    if not label:
        return classes[0] if len(classes) == 1 else ""
    feature = _feature(features, label)
    is_number = getattr(feature, "shape", None) == () and np.issubdtype(
        getattr(feature, "np_dtype", np.object_), np.integer
    )
    if not is_number:
        hint = f"classes: {', '.join(classes)}" if classes else "it has no classes"
        raise UserError(f"{where} has no feature {label!r} that is an integer; {hint}")
    return label


def _with_text(features: Any) -> list[str]:
    """Return the features that contain a text or a class."""
    return [name for name, f in features.items() if _leaf(f) is not None]


def _leaf(feature: Any) -> str | None:
    """Return the path to the text or class in a feature; "": it is one; None: it has none."""
    if isinstance(feature, tfds.features.Text | tfds.features.ClassLabel):
        return ""
    if isinstance(feature, tfds.features.Sequence):
        return _leaf(feature.feature)
    if isinstance(feature, tfds.features.FeaturesDict):
        inner = {name: _leaf(f) for name, f in feature.items()}
        texts = [n for n in inner if inner[n] is not None and n in ("text", "caption", "raw")]
        return texts[0] if texts else None
    return None


def _feature(features: Any, path: str) -> Any:
    for name in path.split("/"):
        if isinstance(features, tfds.features.Sequence):
            features = features.feature
        if not isinstance(features, tfds.features.FeaturesDict) or name not in features:
            return None
        features = features[name]
    return features


def _text_path(features: Any, caption: str) -> str:
    """Return the path to the text of a caption feature: `captions` → `captions/text`."""
    rest = _leaf(_feature(features, caption))
    if rest is None:
        raise UserError(f"the feature {caption!r} holds no text: choose another ?caption=FIELD")
    return f"{caption}/{rest}" if rest else caption


def _classes(features: Any, path: str) -> list[str]:
    """Return the names of the classes if the feature is a class, else []."""
    feature = _feature(features, path)
    return list(feature.names) if isinstance(feature, tfds.features.ClassLabel) else []
