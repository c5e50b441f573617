"""Which field of a record is the picture, its caption, its label: "?image=jpg&caption=json/title".

What follows the question mark in a data set's name. A field inside of a field is named with a
slash: "captions/text" is the text of each of the captions.
"""

import dataclasses
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from glide_jax.errors import UserError, unknown_name


@dataclasses.dataclass(frozen=True)
class Fields:
    """A field map.

    Attributes:
        image: the picture's field; empty: the data set's only one.
        caption: the caption's field; empty: the likeliest.
        label: the field of the number of its class; empty: the only one that holds classes, if any.
    """

    image: str = ""
    caption: str = ""
    label: str = ""


_KEYS = tuple(field.name for field in dataclasses.fields(Fields))

LIKELY_CAPTIONS = ("captions", "caption", "text", "txt", "label")
"""Names of fields that hold a caption, the likeliest first."""


def split_fields(variant: str) -> tuple[str, Fields]:
    """Take the field map off: "coco?caption=captions/text" → ("coco", Fields(...)).

    Raises:
        UserError: something else than a field of Fields is mapped, or to nothing.
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


def likely_caption(names: Iterable[str], where: str) -> str:
    """The field that holds the caption, of those that hold text.

    Args:
        names: of the fields with text in them.
        where: whose they are, for the error.

    Raises:
        UserError: none is likely, or there is no text at all.
    """
    names = list(names)
    for likely in LIKELY_CAPTIONS:
        if likely in names:
            return likely
    if len(names) == 1:
        return names[0]
    known = f"of {', '.join(names)}" if names else "; it has no text"
    raise UserError(f"{where} does not say which field is the caption{known}: add ?caption=FIELD")


def texts(value: Any) -> Iterator[str]:
    """Every text in a field's value: a string, bytes, or a list of them."""
    if value is None:
        return
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        if text := " ".join(value.split()):
            yield text
        return
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        yield str(value)
        return
    for part in value:
        yield from texts(part)


def inside(value: Any, path: list[str]) -> Any:
    """What lies at a path of names; of a list, what lies there in each of its members.

    Raises:
        KeyError: there is no such field.
    """
    if not path:
        return value
    if isinstance(value, Mapping):
        return inside(value[path[0]], path[1:])
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise KeyError(path[0])
    return [inside(part, path) for part in value]
