"""Classes that people ask for, checked before they reach a model."""

import operator
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from glide_jax.errors import UserError
from glide_jax.types import Array


def class_labels(labels: Iterable[Any], num_classes: int) -> Array:
    """Class numbers as a Condition's label; a compiled model can't check their range.

    Args:
        labels: whole numbers from 0 to num_classes - 1.
        num_classes: of the model; 0: it knows no classes.

    Returns:
        i32[b].

    Raises:
        UserError: a label is no whole number or out of range, or the model knows no classes.
    """
    if num_classes == 0:
        raise UserError("this model draws no class on demand; leave the label out")
    return jnp.asarray([_checked(label, num_classes) for label in labels], jnp.int32)


def _checked(label: Any, num_classes: int) -> int:
    try:
        number = operator.index(label)
    except TypeError:
        raise UserError(f"a class is a whole number, not {label!r}") from None
    if not 0 <= number < num_classes:
        raise UserError(f"there is no class {number}: give one from 0 to {num_classes - 1}")
    return number
