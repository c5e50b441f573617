"""OpenAI's released models: their state dicts and options ↔ our models and weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from glide_jax.errors import UserError
from glide_jax.interop import families, tables
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
    state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]
) -> tuple[Any, dict[str, np.ndarray]]:
    """A released checkpoint's arrays → our model and its weights, in float32.

    Args:
        state_dict: float arrays by PyTorch key, in PyTorch's layout; the keys give the family.
        options: the reference's option dict.

    Raises:
        UserError: no family has such keys, or the options are another model's.
        WrongKeysError: keys are missing, unknown or of another shape; it names all of them.
    """
    model = build(state_dict, options)
    return model, params_of(model, state_dict)


def build(state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> Any:
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


def params_of(model: Any, state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of one of our models from a state dict: float32, each array a copy.

    Raises:
        WrongKeysError: keys are missing, unknown or of another shape; it names all of them.
    """
    wanted = reference_shapes(model)
    wrong = [f"missing {key}" for key in wanted if key not in state_dict]
    wrong += [f"unknown {key}" for key in sorted(state_dict.keys() - wanted.keys())]
    for key, want in wanted.items():
        if key in state_dict and np.shape(state_dict[key]) != want:
            wrong.append(f"{key} is {np.shape(state_dict[key])}, not {want}")
    if wrong:
        raise WrongKeysError(wrong)
    return {
        path: np.array(rule.from_torch(np.asarray(state_dict[key])), np.float32, order="C")
        for key, (path, rule) in _places(model).items()
    }


def reference_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """PyTorch's key → the shape of its array, for all of a model's weights."""
    return {
        key: rule.to_torch(np.empty(model.shapes[path].shape, np.bool_)).shape
        for key, (path, rule) in _places(model).items()
    }


def to_state_dict(model: Any, params: Params | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our weights → arrays by PyTorch key, PyTorch layout; the inverse of `from_state_dict`."""
    return {
        key: rule.to_torch(np.asarray(params[path])) for key, (path, rule) in _places(model).items()
    }


def options(model: Any) -> dict[str, Any]:
    """The reference's options that make a model, by the reference's names."""
    return families.of_model(model).options(model)


def _places(model: Any) -> dict[str, tuple[str, tables.Rule]]:
    """PyTorch's key → our path, and the rule that transposes the array."""
    rules = families.of_model(model).rules(model)
    places = {}
    for path in model.shapes:
        key, rule = tables.match(path, rules)
        places[key] = (path, rule)
    return places
