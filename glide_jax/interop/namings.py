"""Who calls a model's arrays what: the reference's own names, and Diffusers'."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

from glide_jax.config import ImagenConfig
from glide_jax.errors import UserError, unknown_name
from glide_jax.interop import families, tables
from glide_jax.interop.families import imagen_diffusers

ORIGINAL = "original"
DIFFUSERS = "diffusers"


@dataclasses.dataclass(frozen=True)
class Naming:
    """One way to name a model's arrays.

    Attributes:
        rules: the table.
        blocks: see `tables.match`.
    """

    rules: list[tables.Rule]
    blocks: Mapping[str, str] | None = None

    def match(self, path: str) -> tuple[tuple[str, ...], tables.Rule]:
        """Our path → PyTorch's keys, and the rule of the array."""
        return tables.match(path, self.rules, self.blocks)


def _original(model: Any) -> Naming:
    return Naming(families.of_model(model).rules(model))


def _diffusers(model: Any) -> Naming:
    if not isinstance(model.config, ImagenConfig):
        family = families.of_model(model).NAME
        raise UserError(f"Diffusers has no names for a model of family {family!r}")
    return Naming(imagen_diffusers.rules(model), imagen_diffusers.blocks(model.config))


NAMINGS: dict[str, Callable[[Any], Naming]] = {ORIGINAL: _original, DIFFUSERS: _diffusers}
"""Name → (model) → its naming."""


def naming_of(model: Any, name: str) -> Naming:
    """A model's naming. Raises UserError if there is none of that name for it."""
    if name not in NAMINGS:
        raise unknown_name("naming", name, NAMINGS)
    return NAMINGS[name](model)


def detected(keys: Collection[str]) -> str:
    """The name of the naming that these keys are of."""
    return DIFFUSERS if imagen_diffusers.is_mine(keys) else ORIGINAL
