"""Nested dicts → dataclasses, by the dataclasses' own type hints.

A hint is a plain type, a tuple of one, a section (a dataclass, perhaps `| None`) or, of a model,
all families' dataclasses; `FAMILIES` tells which one a section's `family` means.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from glide_jax.config.experiment import Experiment
from glide_jax.config.families import FAMILIES
from glide_jax.errors import UserError, unknown_name

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """The experiment as nested dicts, ready for JSON; `from_dict` turns it back."""
    return dataclasses.asdict(experiment)


def from_dict(values: Mapping[str, Any]) -> Experiment:
    """The experiment of nested dicts, where lists may stand for tuples (as in JSON).

    Raises:
        UserError: a key is unknown or missing, or a value has a wrong type or makes no sense.
    """
    return _build(Experiment, values, "", values)


def known_keys(values: Any, kind: type = Experiment, prefix: str = "") -> dict[str, Any]:
    """Every key that may stand in these nested dicts, sections too.

    A model's keys are its family's; where it can't be told, all families'.

    Returns:
        Dotted name → type hint.
    """
    keys = {}
    for name, hint in hints(kind).items():
        keys[prefix + name] = hint
        part = values.get(name) if isinstance(values, Mapping) else None
        for section in _candidates(hint, part):
            keys |= known_keys(part, section, f"{prefix}{name}.")
    return keys


def hints(kind: type) -> dict[str, Any]:
    """A dataclass's fields with their types; which text a Literal is, it checks itself."""
    found = typing.get_type_hints(kind)
    return {k: str if typing.get_origin(h) is typing.Literal else h for k, h in found.items()}


def convert(value: Any, hint: Any, path: str, whole: Any) -> Any:
    """The value as a type hint wants it.

    Args:
        value: of the config file, JSON or the command line.
        hint: of the key.
        path: the key, dotted.
        whole: the nested dicts that the value is of, to guess which key was meant.

    Raises:
        UserError: it is of another type.
    """
    if value is None and type(None) in typing.get_args(hint):
        return None
    if sections(hint):
        return _build(_kind(hint, value, path), value, path, whole)
    if typing.get_origin(hint) is tuple:
        item_hint = typing.get_args(hint)[0]
        if not isinstance(value, list | tuple):
            what = f"a tuple, of {_WORDS[item_hint]} each"
            raise UserError(f"{dotted(path)} must be {what}, not {value!r}")
        return tuple(convert(item, item_hint, path, whole) for item in value)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint or (isinstance(value, float) and not math.isfinite(value)):
        raise UserError(f"{dotted(path)} must be {_WORDS[hint]}, not {value!r}")
    return value


def sections(hint: Any) -> list[type]:
    """The dataclasses that a hint allows; none: it is no section's."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return [k for k in kinds if isinstance(k, type) and dataclasses.is_dataclass(k)]


def unknown_key(key: str, values: Any) -> UserError:
    """Of a key that isn't there: which one was probably meant."""
    keys = known_keys(values)
    # The first stage's is the shortest.
    same_name = sorted((name for name in keys if name.endswith(f".{key}")), key=len)
    near = same_name or difflib.get_close_matches(key, keys, n=1)
    section = key.rpartition(".")[0]
    known = [name for name in keys if name.rpartition(".")[0] == section]
    hint = f"did you mean {dotted(near[0])}?" if near else f"known: {', '.join(known)}"
    return UserError(f"{dotted(key)}: no such key; {hint}")


def dotted(*names: str) -> str:
    """A key as people read it: `config.training.batch_size`."""
    return _join("config", *names)


def _build(kind: type, values: Any, path: str, whole: Any) -> Any:
    if not isinstance(values, Mapping):
        raise UserError(f"{dotted(path)} must be a section of keys, not {values!r}")
    fields = hints(kind)
    for key in values:
        if key not in fields:
            raise unknown_key(_join(path, key), whole)
    for key in fields:
        _require_key(values, key, path)
    items = {key: convert(values[key], h, _join(path, key), whole) for key, h in fields.items()}
    try:
        return kind(**items)
    except UserError as error:
        raise UserError(dotted(path, str(error))) from None


def _kind(hint: Any, values: Any, path: str) -> type:
    """The one of a section's dataclasses that its values are meant for."""
    kinds = sections(hint)
    if len(kinds) == 1 or not isinstance(values, Mapping):
        return kinds[0]
    _require_key(values, "family", path)
    family = convert(values["family"], str, _join(path, "family"), values)
    if family not in FAMILIES:
        raise UserError(f"{dotted(path, 'family')}: {unknown_name('family', family, FAMILIES)}")
    return FAMILIES[family]


def _candidates(hint: Any, values: Any) -> list[type]:
    """As `sections`, but the one that the values' family names, where it does."""
    kinds = sections(hint)
    family = values.get("family") if isinstance(values, Mapping) else None
    return [FAMILIES[family]] if len(kinds) > 1 and family in FAMILIES else kinds


def _require_key(values: Mapping, key: str, path: str) -> None:
    if key not in values:
        raise UserError(f"{dotted(path, key)} is missing; give it a value in the config file")


def _join(*names: str) -> str:
    return ".".join(name for name in names if name)
