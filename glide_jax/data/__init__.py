"""Data sets by name: "shapes/64", "emoji/64", "folder", "webdataset", "tfds/coco_captions".

The module of a data set is imported when the data set is opened, so that sampling imports neither
TFDS nor grain.
"""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from glide_jax.data.source import Example, Kept, Source
from glide_jax.errors import unknown_name

__all__ = [
    "SOURCES",
    "Example",
    "Source",
    "captions",
    "check_name",
    "keep",
    "open_kept",
    "open_prepared",
    "open_source",
    "prepare",
]

SOURCES = {
    "emoji": "glide_jax.data.emoji",
    "folder": "glide_jax.data.folder",
    "huggingface": "glide_jax.data.huggingface",
    "shapes": "glide_jax.data.shapes",
    "tfds": "glide_jax.data.named_tfds",
    "webdataset": "glide_jax.data.webdataset",
}
"""Data set → the module that has its `prepare` and `open_split` (see `data.source`)."""


def check_name(name: str) -> None:
    """Raise UserError if no data set has this name. Imports nothing and reads no disk.

    Args:
        name: the data set, with its variant or without, such as "shapes/64".
    """
    kind = _kind(name)
    if kind not in SOURCES:
        raise unknown_name("data set", kind, SOURCES)


def prepare(name: str, path: str) -> None:
    """Write a data set to disk if it is not there yet.

    Args:
        name: the data set and its variant, such as "shapes/64"; with a field map if its fields
            have other names, such as "tfds/NAME?image=FIELD&caption=FIELD" (see `data.fields`).
        path: where the data set is, or what it is made from; "" is its default.

    Raises:
        UserError: unknown name, nothing to make it from, or no room on the disk.
    """
    module, variant = _find(name)
    module.prepare(variant, path)


def open_source(name: str, path: str, split: str) -> Source:
    """Open one split of a data set that is on disk.

    Args:
        name: the data set and its variant, such as "shapes/64".
        path: as for `prepare`.
        split: "train", "test" or another split of the data set.

    Raises:
        UserError: unknown name or split, not prepared, or no usable image.
    """
    module, variant = _find(name)
    return module.open_split(variant, path, split)


def open_prepared(name: str, path: str, split: str) -> Source:
    """`prepare` a data set, and open one of its splits.

    Args:
        name, path, split: as for `open_source`.

    Raises:
        UserError: as for `prepare` and `open_source`.
    """
    prepare(name, path)
    return open_source(name, path, split)


def open_kept(name: str, path: str, split: str, file: Path) -> Source | None:
    """Open a split for a run that goes on, with what `keep` has written of its data.

    Args:
        name, path, split: as for `open_source`.
        file: of `keep`.

    Returns:
        None: nothing is kept there of such a data set: `prepare` and `open_source` it.

    Raises:
        UserError: as for `prepare` and `open_source`, or the file is damaged.
    """
    module, variant = _find(name)
    if not hasattr(module, "open_kept"):
        return None
    return module.open_kept(variant, path, split, file)


def keep(source: Source, file: Path) -> None:
    """Write to a run's workdir what it begins with, of a data set whose parts may be missing later.

    Raises:
        DiskError: it can't be written.
    """
    if isinstance(source, Kept):
        source.keep(file)


def captions(source: Source) -> Iterator[str]:
    """Yield every caption of every image, in order, without decoding an image."""
    for i in range(len(source)):
        yield from source.captions(i)


def _find(name: str) -> tuple[ModuleType, str]:
    """The module of a data set, and the variant in its name."""
    check_name(name)
    kind = _kind(name)
    return importlib.import_module(SOURCES[kind]), name.removeprefix(kind).removeprefix("/")


def _kind(name: str) -> str:
    return re.split("[/?]", name, maxsplit=1)[0]
