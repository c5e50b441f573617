"""OpenAI's released models: their state dicts and option names ↔ our models and weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from glide_jax.errors import UserError
from glide_jax.interop import families, tables
from glide_jax.types import Params


class WrongKeysError(UserError):
    """A state dict is not the model's. The message names every key that is wrong.

    Attributes:
        wrong: what is wrong, a few words a key.
    """

    def __init__(self, wrong: list[str]):
        super().__init__("the state dict is not this model's: " + "; ".join(wrong))
        self.wrong = wrong


def from_state_dict(
    state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]
) -> tuple[Any, dict[str, np.ndarray]]:
    """A released checkpoint's arrays → our model and its weights, in float32.

    Args:
        state_dict: float arrays by PyTorch key, PyTorch layout; the model family is told from
            the keys.
        options: the reference's option dict.

    Raises:
        UserError: no family has such keys, or the options are another's.
        WrongKeysError: keys are missing, extra or of another shape; it names them all.
    """
    model = build(state_dict, options)
    return model, params_of(model, state_dict)


def build(state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> Any:
    """The model of `from_state_dict`, without its weights: only keys and shapes are looked at.

    Raises:
        UserError: no family has such keys, or the options are another's.
    """
    family = families.of_keys(state_dict.keys())
    try:
        return family.build(state_dict, options)
    except KeyError as error:
        raise UserError(
            f"the keys are those of the family {family.NAME!r}, whose option {error} is not among "
            "the options: they are another model's"
        ) from error


def params_of(model: Any, state_dict: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of one of our models from a state dict: float32, each array its own memory.

    Raises:
        WrongKeysError: keys are missing, extra or of another shape; it names them all.
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
    """PyTorch's key → the shape of its array, of all of a model's weights."""
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
    """The reference's options of a model, by its names: those that make the model."""
    return families.of_model(model).options(model)


def _places(model: Any) -> dict[str, tuple[str, tables.Rule]]:
    """PyTorch's key → our path, and the rule that turns the array."""
    rules = families.of_model(model).rules(model)
    places = {}
    for path in model.shapes:
        key, rule = tables.match(path, rules)
        places[key] = (path, rule)
    return places
