"""Nested sections of keys → dataclasses, by the dataclasses' own type hints.

A hint is a plain type, a tuple of one, either of the two (`int | tuple[int, ...]`), a section (a
dataclass), or a dict of sections by name, such as the stages. Any of them may be `| None`; such a
key may be left out. Where a section may be one of several dataclasses, its `family` (or its
`model.family`) decides which or, where they have none, its keys.

The values are nested dicts, or an ml_collections.ConfigDict, which is read where it stands.
"""

import dataclasses
import difflib
import functools
import math
import types
import typing
from collections.abc import MutableMapping
from typing import Any, TypeGuard

from glide_jax.config.experiment import Experiment
from glide_jax.config.families import FAMILIES
from glide_jax.errors import UserError, a_few, unknown_name

_WORDS = {int: "an integer", float: "a number", bool: "true or false", str: "text"}


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """The experiment as nested dicts, ready for JSON; `from_dict` reads them back."""
    return dataclasses.asdict(experiment)


def from_dict(values: Any) -> Experiment:
    """The experiment of nested sections, where lists may stand for tuples (as in JSON).

    Raises:
        UserError: a key is unknown or missing, or a value has a wrong type or makes no sense.
    """
    return _build(Experiment, values, "", values)


def known_keys(values: Any, kind: type = Experiment, prefix: str = "") -> dict[str, Any]:
    """Every key that may appear in these nested sections, the sections themselves included.

    A stage's keys are those of its family; where the family is unknown, those of all families. The
    stages are those that the values have.

    Returns:
        Dotted name → type hint.
    """
    keys = {}
    for name, hint in hints(kind).items():
        keys[prefix + name] = hint
        part = values.get(name) if is_section(values) else None
        parts = {f"{prefix}{name}": (hint, part)}
        if named := named_sections(hint):
            there = part if is_section(part) else {}
            parts = {f"{prefix}{name}.{key}": (named, there[key]) for key in there}
            keys |= dict.fromkeys(parts, named)
        for path, (section_hint, section_values) in parts.items():
            for section in _candidates(section_hint, section_values):
                keys |= known_keys(section_values, section, f"{path}.")
    return keys


def is_section(value: Any) -> TypeGuard[MutableMapping[str, Any]]:
    """Whether a value holds keys: a dict, or a ConfigDict, which is no Mapping by its type."""
    return hasattr(value, "keys")


@functools.cache
def hints(kind: type) -> dict[str, Any]:
    """A dataclass's fields with their types; a Literal's value is checked by the dataclass."""
    found = typing.get_type_hints(kind)
    return {k: str if typing.get_origin(h) is typing.Literal else h for k, h in found.items()}


def convert(value: Any, hint: Any, path: str, root: Any) -> Any:
    """The value as a type hint wants it.

    Args:
        value: from the config file, JSON or the command line.
        hint: of the key.
        path: the key, dotted.
        root: the nested sections that the value is part of, to suggest which key was meant.

    Raises:
        UserError: it is of another type.
    """
    if value is None and is_optional(hint):
        return None
    if named := named_sections(hint):
        if not is_section(value):
            raise UserError(f"{dotted(path)} must be sections by name, not {value!r}")
        items = value.items()
        return {name: convert(part, named, _join(path, name), root) for name, part in items}
    if sections(hint):
        return _build(_kind(hint, value, path), value, path, root)
    return plain(value, hint, dotted(path))


def plain(value: Any, hint: Any, name: str) -> Any:
    """A value that is no section as a type hint wants it.

    Args:
        value: from the config file, JSON, the command line or a caller.
        hint: a plain type, a tuple of one, or either with None.
        name: what the error calls it.

    Raises:
        UserError: it is of another type, or not finite.
    """
    if value is None and is_optional(hint):
        return None
    hint = _one_or_many(without_none(hint), value)
    if typing.get_origin(hint) is tuple:
        item_hint = typing.get_args(hint)[0]
        if not isinstance(value, list | tuple):
            raise UserError(f"{name} must be a tuple, of {_WORDS[item_hint]} each, not {value!r}")
        return tuple(plain(item, item_hint, name) for item in value)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint or (isinstance(value, float) and not math.isfinite(value)):
        raise UserError(f"{name} must be {_WORDS[hint]}, not {value!r}")
    return value


def is_optional(hint: Any) -> bool:
    """Whether a key may be None, or left out."""
    return type(None) in typing.get_args(hint)


def without_none(hint: Any) -> Any:
    """The hint of a value that is there."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    return kinds[0] if is_optional(hint) and len(kinds) == 1 else hint


def named_sections(hint: Any) -> Any:
    """The hint of each of a dict's sections; None: it is no dict of sections."""
    return typing.get_args(hint)[1] if typing.get_origin(hint) is dict else None


def sections(hint: Any) -> list[type]:
    """The dataclasses that a hint allows; []: it is no section's."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return [k for k in kinds if isinstance(k, type) and dataclasses.is_dataclass(k)]


def unknown_key(key: str, values: Any) -> UserError:
    """The error for a key that doesn't exist: the ones that were probably meant, or all there are.

    The search is in the innermost section of the key that exists: of `stages.base.trainig.steps`,
    in `stages.base`, for keys at any depth that end like `trainig.steps`.
    """
    keys = [name for name in known_keys(values) if _has_place(name, values)]
    parents = {name.rpartition(".")[0] for name in keys} - {""}
    section, rest = "", key
    while rest and (deeper := _join(section, rest.partition(".")[0])) in parents:
        section, rest = deeper, rest.partition(".")[2]
    prefix = f"{section}." if section else ""
    inside = [name.removeprefix(prefix) for name in keys if name.startswith(prefix)]
    length = rest.count(".") + 1
    endings = {name: ".".join(name.split(".")[-length:]) for name in inside}
    near = difflib.get_close_matches(rest, endings.values(), n=1)
    meant = [dotted(section, name) for name, ending in endings.items() if ending in near]
    if meant:
        return UserError(f"{dotted(key)}: no such key; did you mean {a_few(meant, ' or ')}?")
    there = [name for name in inside if "." not in name]
    return UserError(f"{dotted(key)}: no such key; {dotted(section)} has {', '.join(there)}")


def dotted(*names: str) -> str:
    """A key as people read it: `config.stages.base.training.batch_size`."""
    return _join("config", *names)


def _build(kind: type, values: Any, path: str, root: Any) -> Any:
    if not is_section(values):
        raise UserError(f"{dotted(path)} must be a section of keys, not {values!r}")
    fields = hints(kind)
    for key in values:
        if key not in fields:
            raise unknown_key(_join(path, key), root)
    items = {}
    for key, hint in fields.items():
        if not is_optional(hint):
            _require_key(values, key, path)
        items[key] = convert(values.get(key), hint, _join(path, key), root)
    try:
        return kind(**items)
    except UserError as error:
        raise UserError(dotted(path, str(error))) from None


def _kind(hint: Any, values: Any, path: str) -> type:
    """The one of a section's dataclasses that its values are meant for."""
    kinds = sections(hint)
    if len(kinds) == 1 or not is_section(values):
        return kinds[0]
    if not _has_family(kinds):
        return _by_keys(kinds, values)
    if "family" not in hints(kinds[0]):
        _require_key(values, "model", path)
        path, values = _join(path, "model"), values["model"]
        if not is_section(values):
            raise UserError(f"{dotted(path)} must be a section of keys, not {values!r}")
    _require_key(values, "family", path)
    family = convert(values["family"], str, _join(path, "family"), values)
    if family not in FAMILIES:
        raise UserError(f"{dotted(path, 'family')}: {unknown_name('family', family, FAMILIES)}")
    fitting = _of_family(kinds, family)
    return fitting[0] if fitting else kinds[0]


def _candidates(hint: Any, values: Any) -> list[type]:
    """As `sections`, but only those that hold the values' family, where that is known."""
    kinds = sections(hint)
    if len(kinds) < 2 or not is_section(values):
        return kinds
    if not _has_family(kinds):
        return [_by_keys(kinds, values)]
    model = values.get("model", values)
    family = model.get("family") if is_section(model) else None
    return _of_family(kinds, family) or kinds


def _has_family(kinds: list[type]) -> bool:
    """Whether a family, their own or their model's, decides between a section's dataclasses."""
    return not {"family", "model"}.isdisjoint(hints(kinds[0]))


def _by_keys(kinds: list[type], values: Any) -> type:
    """The one of a section's dataclasses that has most of its keys; of several, the first."""
    return max(kinds, key=lambda kind: sum(key in hints(kind) for key in values))


def _of_family(kinds: list[type], family: Any) -> list[type]:
    """Those of the dataclasses that are the family's, or have its model."""
    if not isinstance(family, str) or family not in FAMILIES:
        return []
    own = FAMILIES[family]
    return [k for k in kinds if k is own or own in sections(hints(k).get("model"))]


def _has_place(key: str, values: Any) -> bool:
    """Whether the section that would hold the key is there."""
    for name in key.split(".")[:-1]:
        values = values.get(name)
        if not is_section(values):
            return False
    return True


def _require_key(values: Any, key: str, path: str) -> None:
    if key not in values:
        raise UserError(f"{dotted(path, key)} is missing; give it a value in the config file")


def _one_or_many(hint: Any, value: Any) -> Any:
    """Of a key that is one value or a tuple of them, the hint of the kind that the value is."""
    if not isinstance(hint, types.UnionType):
        return hint
    many = isinstance(value, list | tuple)
    return next(k for k in typing.get_args(hint) if (typing.get_origin(k) is tuple) == many)


def _join(*names: str) -> str:
    return ".".join(name for name in names if name)
