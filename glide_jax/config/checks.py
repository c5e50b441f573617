"""Whether values make sense. An error begins with the key; `reading` puts the path before it."""

import typing
from collections.abc import Sequence
from typing import Any

from glide_jax.errors import UserError
from glide_jax.local_path import not_local
from glide_jax.storage import storage_path

DTYPES = ("float32", "bfloat16")
"""What models compute in, and what imported weights are stored in."""

MAX_PROCESSORS = 1024
"""More processes, or parts of a CPU, than a machine has processors bring it down."""


def require(holds: bool, config: Any, name: str, what: str) -> None:
    """Raises UserError, `NAME must be WHAT, not …`, unless `holds`."""
    if not holds:
        raise UserError(f"{name} must be {what}, not {getattr(config, name)!r}")


def at_least(low: int, config: Any, *names: str, below: int = 2**31) -> None:
    """Raises UserError where a field is below `low`, or not below `below`.

    Without another bound it is that of the integers that devices count with; no float that is meant
    is as large.
    """
    for name in names:
        require(getattr(config, name) >= low, config, name, f"{low} or more")
        require(getattr(config, name) < below, config, name, f"below {below:,}")


def between(low: int, high: int, config: Any, *names: str) -> None:
    """Raises UserError where a field is outside [low, high]."""
    for name in names:
        require(low <= getattr(config, name) <= high, config, name, f"from {low} to {high}")


def is_local(config: Any, *names: str) -> None:
    """Raises UserError where a field is a URL: paths are of this machine, or empty."""
    for name in names:
        if why := not_local(getattr(config, name)):
            raise UserError(f"{name}={why}")


def is_path(config: Any, *names: str) -> None:
    """Raises UserError where a field is a URL of what is no bucket; paths may be empty."""
    for name in names:
        try:
            storage_path(getattr(config, name))
        except UserError as error:
            raise UserError(f"{name}={error}") from None


def one_of(options: Sequence[str], config: Any, name: str) -> None:
    """Raises UserError where a field is not one of the options."""
    require(getattr(config, name) in options, config, name, f"one of {', '.join(options)}")


def divisible(config: Any, name: str, by: str) -> None:
    """Raises UserError where the field `name` is not a multiple of the field `by`."""
    divisor = getattr(config, by)
    require(getattr(config, name) % divisor == 0, config, name, f"divisible by {by}, {divisor}")


def family_of(kind: type) -> str:
    """The family that a model's dataclass describes: the one value its `family` may have."""
    return typing.get_args(typing.get_type_hints(kind)["family"])[0]


def own_family(config: Any) -> None:
    """Raises UserError where `family` is not that of this dataclass."""
    one_of((family_of(type(config)),), config, "family")
