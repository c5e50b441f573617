"""A result as one PNG: each score of all arms, with intervals."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glide_jax.experiments.claim import Claim
from glide_jax.experiments.scores import SCORES
from glide_jax.writing import atomic_path

_WIDTH, _HEIGHT, _ROW = 5.0, 3.8, 0.42
_DPI = 110
_COLOURS = ("#1f5fa8", "#b35806", "#4d9221", "#8c4ea3", "#d7667a", "#2c2a6b")


def write_plot(path: Path, claim: Claim, result: Mapping[str, Any]) -> None:
    """Plot a result: curves where its arms have an x, else the arms one below the other.

    Args:
        path: of the PNG.
        claim: whose result it is.
        result: what is in result.json.

    Raises:
        DiskError: it can't be written.
    """
    arms = result["arms"]
    names = [n for n in SCORES if any(n in arm["figures"] for arm in arms)]
    curves = all(arm["x"] is not None for arm in arms)
    height = _HEIGHT if curves else 1.4 + _ROW * len(arms)
    figure = Figure(figsize=(_WIDTH * len(names), height), layout="constrained")
    figure.suptitle(f"{result['experiment']}: {result['verdict']}", fontsize=11, x=0.01, ha="left")
    places = figure.subplots(1, len(names), squeeze=False).flatten().tolist()
    for axes, name in zip(places, names, strict=True):
        shown = [arm for arm in arms if name in arm["figures"]]
        if curves:
            _plot_curves(axes, shown, name)
            axes.set_xlabel(claim.x_label, fontsize=9)
        else:
            _plot_rows(axes, shown, name)
        score = SCORES[name]
        axes.set_title(score.title + ", %" * score.percent, loc="left", fontsize=10)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    with atomic_path(path) as part:
        figure.savefig(part, format="png", dpi=_DPI)


def _plot_curves(axes: Axes, arms: Sequence[Mapping[str, Any]], name: str) -> None:
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for arm in arms:
        lines.setdefault(arm["line"], []).append(arm)
    for colour, (line, own) in zip(itertools.cycle(_COLOURS), lines.items(), strict=False):
        values, bars = _values(own, name)
        x = [arm["x"] for arm in own]
        axes.errorbar(
            x, values, bars, color=colour, label=line, marker="o", markersize=4, capsize=2
        )
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8)


def _plot_rows(axes: Axes, arms: Sequence[Mapping[str, Any]], name: str) -> None:
    values, bars = _values(arms, name)
    y = list(range(len(arms)))
    axes.errorbar(values, y, xerr=bars, color=_COLOURS[0], fmt="o", markersize=5, capsize=3)
    axes.set_yticks(y, [arm["name"] for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)


def _values(arms: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[list[float]]]:
    """The values, and how far their intervals reach down and up."""
    factor = 100.0 if SCORES[name].percent else 1.0
    own = [arm["figures"][name] for arm in arms]
    ends = [
        [0.0 if one[end] is None else max(0.0, sign * (one[end] - one["value"])) for one in own]
        for end, sign in (("low", -1), ("high", 1))
    ]
    return [factor * one["value"] for one in own], [[factor * x for x in end] for end in ends]
