"""The fields of a request: one table checks what comes in and documents it.

A Field says what a value must be. `checked` reads a JSON object by a table of them, and
`schema_of` writes the same table as JSON Schema, for the API's document.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from starlette.exceptions import HTTPException

from glide_jax.errors import unknown_name
from glide_jax.sampling.images import Frame

ID_PATTERN = "^[A-Za-z0-9_-]{8,64}$"
"""Of what the server or a client made up to be unique."""

_MAX_FRAME = 1 << 16

Kind = Literal["text", "id", "integer", "number", "interval", "choice", "image", "frame"]


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a JSON object.

    Attributes:
        name: its key.
        kind: text, an integer, a number, an interval (two different numbers in either order), one
            of a few values, an identifier, that of a kept image, or a frame, a square {left, top,
            side} of an image's pixels.
        about: what it means, for people.
        low, high: of a number; of a text `high` is its length.
        above_low: whether the number must be above `low`, not at it.
        choices: of a choice.
        default: what it is if it is left out; None: nothing, or decided elsewhere.
        required: whether it must be there.
    """

    name: str
    kind: Kind
    about: str
    low: float | None = None
    high: float | None = None
    above_low: bool = False
    choices: tuple[Any, ...] = ()
    default: Any = None
    required: bool = False


def checked(fields: Sequence[Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        fields: of the table.
        given: the object.

    Returns:
        The values of the fields that are there, or have a default; a frame as a Frame, a number as
        a float.

    Raises:
        HTTPException: 400, with one sentence: a key that does not exist, one that is missing, or a
            value that is not what its field says.
    """
    by_name = {field.name: field for field in fields}
    for name in given:
        if name not in by_name:
            raise HTTPException(400, str(unknown_name("field", name[:40], by_name)))
    values = {}
    for field in fields:
        if field.name in given:
            values[field.name] = _READERS[field.kind](field, given[field.name])
        elif field.required:
            raise HTTPException(400, f"The field {field.name!r} is missing: {field.about}.")
        elif field.default is not None:
            values[field.name] = field.default
    return values


def schema_of(fields: Sequence[Field]) -> dict[str, Any]:
    """The table as JSON Schema, of an object with no other key."""
    required = [field.name for field in fields if field.required]
    return {
        "type": "object",
        "properties": {field.name: _property(field) for field in fields},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def described(field: Field) -> dict[str, Any]:
    """The field for a page: its name, kind and limits."""
    found = dataclasses.asdict(field)
    empty = (None, (), False)
    return {k: v for k, v in found.items() if not any(v is nothing for nothing in empty)}


def _property(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"description": field.about}
    if field.kind in ("integer", "number"):
        low = "exclusiveMinimum" if field.above_low else "minimum"
        found |= {"type": field.kind, low: field.low, "maximum": field.high}
    elif field.kind == "interval":
        number = {"type": "number", "minimum": field.low, "maximum": field.high}
        two = {"minItems": 2, "maxItems": 2, "uniqueItems": True}
        found |= {"type": "array", "items": number, **two}
    elif field.kind == "choice":
        found["enum"] = list(field.choices)
    elif field.kind == "frame":
        found |= schema_of(_FRAME)
    elif field.kind == "text":
        found |= {"type": "string", "maxLength": field.high}
    else:
        found |= {"type": "string", "pattern": ID_PATTERN}
    if field.default is not None:
        found["default"] = field.default
    return found


def _wrong(field: Field, what: str) -> HTTPException:
    return HTTPException(400, f"The field {field.name!r} must be {what}.")


def _read_text(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(field, "text")
    assert field.high is not None
    if len(value) > field.high:
        most = f"at most {field.high:,} characters long, and this has {len(value):,}"
        raise _wrong(field, most)
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise _wrong(field, "text in UTF-8")
    return value


def _read_id(field: Field, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(ID_PATTERN[1:-1], value):
        raise _wrong(field, "8 to 64 letters, digits, - or _")
    return value


def _read_number(field: Field, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise _wrong(field, f"a number {_range(field)}")
    if not _is_within(field, value):
        raise _wrong(field, f"a number {_range(field)}")
    return float(value)


def _read_integer(field: Field, value: Any) -> int:
    # JSON has one kind of number: 1.0 is an integer.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not _is_within(field, value):
        raise _wrong(field, f"an integer {_range(field)}")
    return value


def _read_interval(field: Field, value: Any) -> list[float]:
    if not isinstance(value, list) or len(value) != 2:
        raise _wrong(field, f"two numbers {_range(field)}")
    low, high = sorted(_read_number(field, one) for one in value)
    if low == high:
        raise _wrong(field, f"two different numbers {_range(field)}")
    return [low, high]


def _read_choice(field: Field, value: Any) -> Any:
    for choice in field.choices:
        if type(choice) is type(value) and choice == value:
            return choice
    if isinstance(value, float) and value.is_integer() and int(value) in field.choices:
        return int(value)
    raise _wrong(field, f"one of {', '.join(map(str, field.choices))}")


def _read_frame(field: Field, value: Any) -> Frame:
    if not isinstance(value, dict):
        raise _wrong(field, "an object with left, top and side")
    return Frame(**checked(_FRAME, value))


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def _is_within(field: Field, value: float) -> bool:
    assert field.low is not None
    assert field.high is not None
    above = value > field.low if field.above_low else value >= field.low
    return above and value <= field.high


def _range(field: Field) -> str:
    low = f"above {field.low:g}" if field.above_low else f"from {field.low:g}"
    return f"{low} to {field.high:.16g}"


_FRAME = (
    Field("left", "integer", "its left edge", low=-_MAX_FRAME, high=_MAX_FRAME, required=True),
    Field("top", "integer", "its upper edge", low=-_MAX_FRAME, high=_MAX_FRAME, required=True),
    Field("side", "integer", "pixels a side", low=1, high=_MAX_FRAME, required=True),
)

_READERS = {
    "text": _read_text,
    "id": _read_id,
    "image": _read_id,
    "integer": _read_integer,
    "number": _read_number,
    "interval": _read_interval,
    "choice": _read_choice,
    "frame": _read_frame,
}
