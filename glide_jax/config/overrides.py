"""Keys changed on the command line: `--config.stages.base.training.batch_size=64`."""

import ast
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from glide_jax.config.experiment import Experiment
from glide_jax.config.reading import (
    convert,
    dotted,
    from_dict,
    is_optional,
    is_section,
    known_keys,
    named_sections,
    sections,
    to_dict,
    unknown_key,
    without_none,
)
from glide_jax.errors import UserError

OVERRIDE = "--config."
"""How an override of one key begins on the command line."""


def split_overrides(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Parts `--config.KEY=VALUE`, or `--config.KEY VALUE`, from the rest of a command line.

    Args:
        argv: a command line's words, such as sys.argv.

    Returns:
        The other words, and the overrides as `KEY=VALUE`, both in their order.
    """
    words, rest, overrides = list(argv), [], []
    while words:
        word = words.pop(0)
        if not word.startswith(OVERRIDE):
            rest.append(word)
            continue
        if "=" not in word and words and not words[0].startswith("-"):
            word += "=" + words.pop(0)
        overrides.append(word.removeprefix(OVERRIDE))
    return rest, overrides


def with_overrides(experiment: Experiment, overrides: Sequence[str]) -> Experiment:
    """The experiment with some keys changed, each `KEY=VALUE` as for `load_config`.

    Raises:
        UserError: an override of an unknown key, of a wrong type, or that makes no sense.
    """
    return from_dict(override(to_dict(experiment), overrides))


def override(values: Any, overrides: Sequence[str]) -> Any:
    """Changes nested sections in place, by `KEY=VALUE` each; later ones see what earlier ones did.

    `stages.NAME=none` leaves that stage out.

    Args:
        values: nested dicts, or a ConfigDict that is not locked and ignores types.
        overrides: `KEY=VALUE` each.

    Returns:
        The values.

    Raises:
        UserError: an override of an unknown key or of a wrong type.
    """
    for change in overrides:
        key, equals, text = change.partition("=")
        if not equals:
            raise UserError(f"{OVERRIDE}{key} has no value; write {OVERRIDE}{key}=VALUE")
        keys = known_keys(values)
        if key not in keys:
            raise unknown_key(key, values)
        value = meaning(text, keys[key])
        if value is None and _is_named(key, keys):
            _drop(values, key)
        else:
            _set(values, key, keys[key], value)
    return values


def _is_named(key: str, keys: Mapping[str, Any]) -> bool:
    """Whether the key is one of several sections by name, such as a stage."""
    return named_sections(keys.get(key.rpartition(".")[0])) is not None


def _drop(section: Any, key: str) -> None:
    """Take a named section out: `stages.upsampler=none`."""
    above, _, name = key.rpartition(".")
    for part in above.split("."):
        section = section[part]
    del section[name]


def _set(values: Any, key: str, hint: Any, value: Any) -> None:
    if (sections(hint) or named_sections(hint)) and value is not None:
        inside = (name for name in known_keys(values).items() if name[0].startswith(f"{key}."))
        some = next(name for name, hint in inside if not sections(hint))
        raise UserError(f"{dotted(key)} is a section; set one of its keys, such as {dotted(some)}")
    *path, name = key.split(".")
    section: Any = values
    for depth, above in enumerate(path, 1):
        section = section.get(above)
        if not is_section(section):
            what = "left out of this config" if section is None else f"{section!r}, not a section"
            raise UserError(f"{dotted(*path[:depth])} is {what}: {dotted(key)} can't be set")
    target: Any = section
    target[name] = convert(value, hint, key, values)


def meaning(text: str, hint: Any) -> Any:
    """What a word of the command line stands for where a key's type is expected.

    Args:
        text: the word, such as `none` or `8,4`.
        hint: the key's type hint.

    Returns:
        A value that `reading.plain` converts, or refuses.
    """
    if text.lower() == "none" and is_optional(hint):
        return None
    hint = without_none(hint)
    if hint is str and text[:1] not in ("'", '"'):
        return text
    if text.lower() in ("true", "false", "none"):
        text = text.capitalize()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text  # of no kind but text; convert says so where text is wrong
    if typing.get_origin(hint) is not tuple or isinstance(value, list | tuple):
        return value
    # 8,4 has become a tuple already; test,compositional has not.
    return tuple(part.strip() for part in text.split(",")) if value == text else (value,)
