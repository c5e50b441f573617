"""Field maps: which field of a record is the image, the caption, the label.

A field map follows the question mark in a data set's name: "?image=jpg&caption=json/title". A slash
leads into a field: "captions/text" is the field "text" of each of the captions.
"""

import dataclasses
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from glide_jax.errors import UserError, unknown_name


@dataclasses.dataclass(frozen=True)
class Fields:
    """A field map.

    Attributes:
        image: the field of the image; "": the data set's only image field.
        caption: the field of the caption; "": see `caption_field`.
        label: the field of the label, an integer; "": the data set's only class field, if any.
    """

    image: str = ""
    caption: str = ""
    label: str = ""


_KEYS = tuple(field.name for field in dataclasses.fields(Fields))

USUAL_CAPTION_FIELDS = ("captions", "caption", "text", "txt", "label")
"""Usual names of fields with captions, the most usual first."""


def split_fields(variant: str) -> tuple[str, Fields]:
    """Split a variant into name and field map: "coco?image=x" → ("coco", Fields(image="x")).

    Raises:
        UserError: an unknown key, or a key without a field.
    """
    name, _, query = variant.partition("?")
    fields = {}
    for key, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if key not in _KEYS:
            raise unknown_name("field", key, _KEYS)
        if not value:
            raise UserError(f"{query!r} names no field: write ?{key}=FIELD")
        fields[key] = value
    return name, Fields(**fields)


def caption_field(names: Iterable[str], where: str) -> str:
    """Return the caption field: the one with the most usual name, or the only one with text.

    Args:
        names: of the fields with text.
        where: the data set's name, for the error.

    Raises:
        UserError: several fields have text and none has a usual name, or no field has text.
    """
    names = list(names)
    for usual in USUAL_CAPTION_FIELDS:
        if usual in names:
            return usual
    if len(names) == 1:
        return names[0]
    known = f"of {', '.join(names)}" if names else "; it has no text"
    raise UserError(f"{where} does not say which field is the caption{known}: add ?caption=FIELD")


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a field's value, on one line, if it is not empty.

    Args:
        value: a string, bytes, an integer, or a list of them. All else is no text: null, true,
            a floating-point number such as NaN, a mapping.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        # A lone surrogate, from JSON, can't be encoded by a tokenizer.
        if text := " ".join(value.encode("utf-8", "replace").decode().split()):
            yield text
    elif isinstance(value, Iterable) and not isinstance(value, Mapping):
        for part in value:
            yield from texts(part)


def class_caption(classes: Sequence[str], label: int | None) -> str | None:
    """Return the name of a class as a caption; None: no class, as with -1 where it is unknown."""
    if label is None or not 0 <= label < len(classes):
        return None
    return classes[label].replace("_", " ")


def value_at(value: Any, path: list[str]) -> Any:
    """Return the value at a path of field names; in a list, the values of all its elements.

    Raises:
        KeyError: there is no such field.
    """
    if not path:
        return value
    if isinstance(value, Mapping):
        return value_at(value[path[0]], path[1:])
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise KeyError(path[0])
    return [value_at(part, path) for part in value]
