"""OpenAI's released models: their state dicts and options ↔ our models and weights."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from glide_jax.errors import UserError
from glide_jax.interop import families, namings
from glide_jax.interop.namings import Naming
from glide_jax.types import Params


class WrongKeysError(UserError):
    """A state dict is not the model's. The message names every wrong key.

    Attributes:
        wrong: each wrong key with what is wrong with it.
    """

    def __init__(self, wrong: list[str]):
        super().__init__("the state dict is another model's: " + "; ".join(wrong))
        self.wrong = wrong


def from_state_dict(
    state_dict: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[Any, dict[str, np.ndarray]]:
    """A released checkpoint's arrays → our model and its weights, in float32.

    Args:
        state_dict: float arrays by PyTorch key, in PyTorch's layout, or what is read as one when it
            is asked for (`weights.LazyArray`); the keys give the family.
        options: the reference's option dict.

    Raises:
        UserError: no family has such keys, or the options are another model's.
        WrongKeysError: keys are missing, unknown or of another shape; it names all of them.
    """
    model = build(state_dict, options)
    return model, params_of(model, state_dict)


def build(state_dict: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The model of `from_state_dict`, without its weights: only keys and shapes are used.

    Raises:
        UserError: no family has such keys, or the options are another model's.
    """
    family = families.of_keys(state_dict.keys())
    try:
        return family.build(state_dict, options)
    except KeyError as error:
        raise UserError(
            f"the keys are those of the family {family.NAME!r}, whose option {error} is not among "
            "the options, which are another model's: give this model's"
        ) from error


def params_of(model: Any, state_dict: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The weights of one of our models from a state dict: float32, each array a copy.

    Raises:
        WrongKeysError: keys are missing, unknown or of another shape; it names all of them.
    """
    return dict(each_param_of(model, state_dict))


def each_param_of(
    model: Any, state_dict: Mapping[str, Any], dtype: str = "float32"
) -> Iterator[tuple[str, np.ndarray]]:
    """As `params_of`, one weight after the other: (our path, array).

    An array of the state dict is read when its weight's turn comes, and not kept.

    Args:
        model, state_dict: as for `params_of`.
        dtype: of the weights, `float32` or `bfloat16`.

    Raises:
        WrongKeysError: as `params_of`, before the first weight.
    """
    naming = namings.naming_of(model, namings.detected(state_dict.keys()))
    wanted = _shapes(model, naming)
    wrong = [f"missing {key}" for key in wanted if key not in state_dict]
    wrong += [f"unknown {key}" for key in sorted(state_dict.keys() - wanted.keys())]
    for key, want in wanted.items():
        if key in state_dict and np.shape(state_dict[key]) != want:
            wrong.append(f"{key} is {np.shape(state_dict[key])}, not {want}")
    if wrong:
        raise WrongKeysError(wrong)
    return _converted(model, naming, state_dict, np.dtype(jnp.dtype(dtype)))


def _converted(
    model: Any, naming: Naming, state_dict: Mapping[str, Any], dtype: np.dtype
) -> Iterator[tuple[str, np.ndarray]]:
    for path in model.shapes:
        keys, rule = naming.match(path)
        joined = rule.join(np.asarray(state_dict[key], dtype) for key in keys)
        # What was not transposed is still the state dict's own memory.
        yield path, joined if joined.flags.owndata else joined.copy()


def reference_shapes(model: Any, names: str = namings.ORIGINAL) -> dict[str, tuple[int, ...]]:
    """PyTorch's key → the shape of its array, for all of a model's weights.

    Args:
        model: of any family.
        names: a name in `namings.NAMINGS`.
    """
    return _shapes(model, namings.naming_of(model, names))


def to_state_dict(
    model: Any, params: Params | Mapping[str, np.ndarray], names: str = namings.ORIGINAL
) -> dict[str, np.ndarray]:
    """Our weights → arrays by PyTorch key, PyTorch layout; the inverse of `from_state_dict`.

    Args:
        model: of any family.
        params: its weights.
        names: a name in `namings.NAMINGS`.
    """
    return dict(each_array_of(model, ((path, params[path]) for path in model.shapes), names))


def each_array_of(
    model: Any, weights: Iterable[tuple[str, Any]], names: str = namings.ORIGINAL
) -> Iterator[tuple[str, np.ndarray]]:
    """As `to_state_dict`, one weight after the other: (PyTorch's key, array).

    Args:
        model, names: as for `to_state_dict`.
        weights: (our path, array).
    """
    naming = namings.naming_of(model, names)
    for path, array in weights:
        keys, rule = naming.match(path)
        yield from zip(keys, rule.split(np.asarray(array)), strict=True)


def options(model: Any) -> dict[str, Any]:
    """The reference's options that make a model, by the reference's names."""
    return families.of_model(model).options(model)


def _shapes(model: Any, naming: Naming) -> dict[str, tuple[int, ...]]:
    """PyTorch's key → the shape of its array; no array is made."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path, leaf in model.shapes.items():
        keys, rule = naming.match(path)
        shapes |= dict.fromkeys(keys, rule.shape(leaf.shape))
    return shapes
