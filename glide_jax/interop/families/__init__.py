"""The published model families, one module each.

A module has what `Family` lists; a new family is a module and a line in FAMILIES.
"""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import numpy as np

from glide_jax.config import (
    AdmConfig,
    ClassifierConfig,
    ClipImageConfig,
    ClipTextConfig,
    GlideConfig,
    ImagenConfig,
)
from glide_jax.errors import UserError
from glide_jax.interop.families import adm, classifier, clip_image, clip_text, glide, imagen
from glide_jax.interop.tables import Rule


class Family(Protocol):
    """The interface of a family's module.

    Attributes:
        NAME: of the family.
        SIZES: (label, key of an array, axis whose length is the size), for `glide-jax info`.
        is_mine: whether a state dict with these keys belongs to the family.
        build: (state dict, the reference's options) → the model, without weights. Invalid options
            raise UserError; a missing one raises KeyError.
        rules: model → its table, in the order that its attention was published in.
        options: model → the reference's options that `build` makes it from.
    """

    @property
    def NAME(self) -> str: ...  # noqa: D102
    @property
    def SIZES(self) -> tuple[tuple[str, str, int], ...]: ...  # noqa: D102
    def is_mine(self, keys: Collection[str], /) -> bool: ...  # noqa: D102
    def build(self, state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any], /) -> Any: ...  # noqa: D102
    def rules(self, model: Any, /) -> list[Rule]: ...  # noqa: D102
    def options(self, model: Any, /) -> dict[str, Any]: ...  # noqa: D102


FAMILIES: dict[type, Family] = {
    GlideConfig: glide,
    AdmConfig: adm,
    ImagenConfig: imagen,
    ClassifierConfig: classifier,
    ClipImageConfig: clip_image,
    ClipTextConfig: clip_text,
}
"""Class of a model's config → family."""


def of_keys(keys: Collection[str]) -> Family:
    """The family whose state dicts have such keys. Raises UserError if there is none."""
    for family in FAMILIES.values():
        if family.is_mine(keys):
            return family
    some = ", ".join(sorted(keys)[:3]) or "none at all"
    known = ", ".join(family.NAME for family in FAMILIES.values())
    raise UserError(f"no known model has these keys ({some}); known families: {known}")


def of_model(model: Any) -> Family:
    """The family of one of our models."""
    return FAMILIES[type(model.config)]
