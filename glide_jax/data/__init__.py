"""Data sets by name: "shapes/64", "emoji/64", "folder", "webdataset", "tfds/coco_captions".

Nothing of a data set is imported before it is asked for: who only samples never loads TFDS.
"""

import importlib
import re
from collections.abc import Iterator
from types import ModuleType

from glide_jax.data.source import Example, Source
from glide_jax.errors import unknown_name

__all__ = ["SOURCES", "Example", "Source", "captions", "check_name", "open_source", "prepare"]

SOURCES = {
    "emoji": "glide_jax.data.emoji",
    "folder": "glide_jax.data.folder",
    "huggingface": "glide_jax.data.huggingface",
    "shapes": "glide_jax.data.shapes",
    "tfds": "glide_jax.data.named_tfds",
    "webdataset": "glide_jax.data.webdataset",
}
"""Data set → the module that offers `prepare` and `open_split` (see `data.source`)."""


def check_name(name: str) -> None:
    """Raise UserError where no data set is called so; nothing is looked for on disk."""
    _find(name)


def prepare(name: str, path: str) -> None:
    """Make a data set on disk if it is not there yet.

    Args:
        name: the data set and its variant, "shapes/64"; where its fields have names of their own,
            a field map as well, "tfds/NAME?image=FIELD&caption=FIELD" (see `data.fields`).
        path: where it lies or what it is made from; "" is the data set's own default.

    Raises:
        UserError: unknown name, nothing to make it from, no room to put it.
    """
    module, variant = _find(name)
    module.prepare(variant, path)


def open_source(name: str, path: str, split: str) -> Source:
    """Open one split of a data set that is on disk.

    Args:
        name: the data set and its variant, "shapes/64".
        path: as `prepare`.
        split: "train", "test", or another that the data set has.

    Raises:
        UserError: unknown name or split, not prepared, nothing usable in it.
    """
    module, variant = _find(name)
    return module.open_split(variant, path, split)


def captions(source: Source) -> Iterator[str]:
    """Yield every caption of every picture, in order, without decoding a picture."""
    for i in range(len(source)):
        yield from source.captions(i)


def _find(name: str) -> tuple[ModuleType, str]:
    kind = re.split("[/?]", name, maxsplit=1)[0]
    if kind not in SOURCES:
        raise unknown_name("data set", kind, SOURCES)
    return importlib.import_module(SOURCES[kind]), name.removeprefix(kind).removeprefix("/")
