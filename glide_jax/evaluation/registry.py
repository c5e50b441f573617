"""The figures of `glide-jax evaluate` by name; a module is imported when its figure is computed."""

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from glide_jax.errors import unknown_name

if TYPE_CHECKING:
    from glide_jax.evaluation.figure import Figure

FIGURES = {
    "prompt_truth": "glide_jax.evaluation.prompt_truth",
    "bits_per_dim": "glide_jax.evaluation.bits_per_dim",
}
"""Name → the module whose `figure` computes it, see `evaluation.figure`."""


def check_figures(names: Iterable[str]) -> None:
    """Raise UserError for a name that no figure has; imports nothing."""
    for name in names:
        if name not in FIGURES:
            raise unknown_name("figure", name, FIGURES)


def find_figure(name: str) -> "Figure":
    """What computes the figure of a name in FIGURES."""
    return importlib.import_module(FIGURES[name]).figure
