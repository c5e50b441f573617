"""Options that a person gives for weights in a size that nobody published, completed by the shapes.

FILE.json ─ read_options ─→ by the reference's names ─┐
names and shapes ─ family.infer ──────────────────────┴─ complete ─→ all options
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glide_jax.errors import UserError, unknown_name
from glide_jax.interop import released
from glide_jax.interop.families import glide
from glide_jax.interop.families import guided_diffusion as reference

_LISTS = ("channel_mult", "attention_resolutions")
_NEUTRAL = {"timestep_respacing": "", "use_fp16": False, "use_checkpoint": False}
"""How the reference runs or trains a model, not which model it is."""


def read_options(path: Path) -> dict[str, Any]:
    """A JSON object of the reference's options; those in a sidecar that `export` wrote too.

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{path} is no JSON ({error}): write an object of options") from error
    if isinstance(values, dict) and isinstance(values.get("options"), dict):
        values = values["options"]
    if not isinstance(values, dict):
        raise UserError(f'{path} must hold an object of options, such as {{"image_size": 64}}')
    return values


def complete(
    family: str,
    arrays: Mapping[str, Any],
    given: Mapping[str, Any],
    base: Mapping[str, Any],
) -> dict[str, Any]:
    """All options of a model.

    Args:
        family: of the weights, a name of `interop.families`.
        arrays: the weights by PyTorch key; only names and shapes are used.
        given: by a person; a contradiction of the shapes is an error.
        base: of a released model, for what neither `given` nor the shapes say; {}: there is none.

    Raises:
        UserError: an option is unknown, of a wrong type, missing, or contradicts the shapes.
    """
    base, known = dict(base), _known(family, given)
    for name, value in given.items():
        if name not in known:
            raise unknown_name("option", name, known)
        if type(value) is not type(known[name]) and not _is_number(value, known[name]):
            what = type(known[name]).__name__
            raise UserError(
                f"option {name} must be of type {what}, as {known[name]!r}, not {value!r}"
            )
    inferred = glide.infer(arrays, base | dict(given)) if family == glide.NAME else {}
    wrong = [
        f"{name} is {given[name]!r}, and by the shapes {inferred[name]!r}"
        for name in given.keys() & inferred.keys()
        if not _agree(name, given[name], inferred[name], base | inferred | dict(given))
    ]
    if wrong:
        raise UserError("options contradict the weights: " + "; ".join(sorted(wrong)))
    options = _NEUTRAL | base | inferred | dict(given)
    if family == glide.NAME:
        options = dict(glide.TRAINING_OPTIONS) | options
    missing = [name for name in known if name not in options]
    if "image_size" in missing:
        # By which they are fractions, so that the shapes will say them.
        missing = [name for name in missing if name != "attention_resolutions"]
    if missing:
        raise UserError(
            f"the shapes don't say {', '.join(missing)}: give these options, in a JSON file by "
            "--options or beside the weights (FILE.options.json)"
        )
    return options


def _known(family: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of the family's released model that has most of these; ADM has two kinds."""
    each = [file.options for file in released.FILES.values() if file.kind == family]
    return max(each, key=lambda options: len(options.keys() & given.keys()))


def _is_number(value: Any, like: Any) -> bool:
    return isinstance(like, float) and type(value) is int


def _agree(name: str, given: Any, inferred: Any, options: Mapping[str, Any]) -> bool:
    """Whether two values of an option make the same model."""
    if name not in _LISTS:
        return given == inferred
    size = options.get("image_size")
    if size is None:
        return True  # it is missing, which is said next
    if name == "channel_mult":
        mult = reference.channel_mult(given, size, glide.CHANNEL_MULT)
        return mult == reference.numbers(name, inferred)
    mult = reference.channel_mult(options["channel_mult"], size, glide.CHANNEL_MULT)
    return reference.attending(given, size, len(mult)) == (
        reference.attending(inferred, size, len(mult))
    )
