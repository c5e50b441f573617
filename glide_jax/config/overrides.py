"""Keys changed on the command line: `--config.training.batch_size=64`."""

import ast
import typing
from collections.abc import Sequence
from typing import Any

from glide_jax.config.experiment import Experiment
from glide_jax.config.reading import (
    convert,
    dotted,
    from_dict,
    hints,
    known_keys,
    sections,
    to_dict,
    unknown_key,
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


def override(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Changes nested dicts by `KEY=VALUE` each; a later one sees what an earlier one did.

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
        _set(values, key, keys[key], _meaning(text, keys[key]))
    return values


def _set(values: dict[str, Any], key: str, hint: Any, value: Any) -> None:
    if sections(hint) and value is not None:
        some = dotted(key, next(iter(hints(sections(hint)[0]))))
        raise UserError(f"{dotted(key)} is a section; set one of its keys, such as {some}")
    *path, name = key.split(".")
    section: Any = values
    for depth, above in enumerate(path, 1):
        section = section.setdefault(above, {})
        if not isinstance(section, dict):
            raise UserError(
                f"{dotted(*path[:depth])} is {section} in this config; {dotted(key)} has no place"
            )
    section[name] = convert(value, hint, key, values)


def _meaning(text: str, hint: Any) -> Any:
    """What a word of the command line stands for where `hint` is expected."""
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
