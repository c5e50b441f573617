"""Class labels as a Condition's array, checked before they reach a model."""

import operator
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from glide_jax.errors import UserError
from glide_jax.types import Array


def class_labels(labels: Iterable[Any], num_classes: int) -> Array:
    """Class labels as a Condition's label; a compiled model can't check their range.

    Args:
        labels: integers from 0 to num_classes - 1.
        num_classes: of the model; 0: it is not class-conditional.

    Returns:
        i32[b].

    Raises:
        UserError: a label is not an integer or out of range, or the model is not class-conditional.
    """
    if num_classes == 0:
        raise UserError("this model is not class-conditional; leave the label out")
    return jnp.asarray([_checked(label, num_classes) for label in labels], jnp.int32)


def _checked(label: Any, num_classes: int) -> int:
    try:
        number = operator.index(label)
    except TypeError:
        raise UserError(f"a class label must be an integer, not {label!r}") from None
    if not 0 <= number < num_classes:
        raise UserError(f"there is no class {number}; give a label from 0 to {num_classes - 1}")
    return number
