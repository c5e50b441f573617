"""The published model families, one module each.

A module offers what `Family` lists; a new one is one more line of FAMILIES.
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
)
from glide_jax.errors import UserError
from glide_jax.interop.families import adm, classifier, clip_image, clip_text, glide
from glide_jax.interop.tables import Rule


class Family(Protocol):
    """What a module of a family offers.

    Attributes:
        NAME: of the family.
        SIZES: (what it is, the key of an array, which of its axes tells it), for people to read.
        is_mine: whether a state dict with these keys is such a model's.
        build: (state dict, the reference's options) → the model, without weights. Options that
            make no sense raise UserError; one that is missing, KeyError.
        rules: model → its table, whichever order its attention was published in.
        options: model → the options that `build` makes it from, by the reference's names.
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
    ClassifierConfig: classifier,
    ClipImageConfig: clip_image,
    ClipTextConfig: clip_text,
}
"""The class of a model's config → its family."""


def of_keys(keys: Collection[str]) -> Family:
    """The family whose state dicts have such keys. Raises UserError: nobody's."""
    for family in FAMILIES.values():
        if family.is_mine(keys):
            return family
    some = ", ".join(sorted(keys)[:3]) or "none at all"
    known = ", ".join(family.NAME for family in FAMILIES.values())
    raise UserError(f"no known model has these keys ({some}); known families: {known}")


def of_model(model: Any) -> Family:
    """The family of one of our models."""
    return FAMILIES[type(model.config)]
