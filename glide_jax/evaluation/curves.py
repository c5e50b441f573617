"""The curves of a sweep as one PNG: each metric over the settings, and pairs of metrics."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glide_jax.evaluation.metric import Value
from glide_jax.evaluation.sweep import Point, settings_text
from glide_jax.writing import atomic_path

_PANEL = 4.2
_DPI = 110
_COLUMNS = 3
_MOST_PAIRS = 6
_COLOURS = ("#1f5fa8", "#b35806", "#4d9221", "#8c4ea3", "#d7667a", "#2c2a6b")


def write_curves(path: Path, points: Sequence[Point], title: str) -> None:
    """Plot a sweep, with the 95 % intervals.

    The first setting is the x axis of each metric's panel; each choice of the others is a line.

    Args:
        path: of the PNG.
        points: one or more.
        title: a line above all of it.

    Raises:
        DiskError: it can't be written.
    """
    names = list(points[0].headlines)
    pairs = list(itertools.combinations(names, 2))[:_MOST_PAIRS]
    panels = len(names) + len(pairs)
    columns = min(_COLUMNS, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(_PANEL * columns, _PANEL * rows + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    lines = _lines(points)
    for place, name in zip(axes, names, strict=False):
        _plot_over(place, lines, name)
    for place, pair in zip(axes[len(names) :], pairs, strict=False):
        _plot_pair(place, lines, *pair)
    for place in axes[panels:]:
        place.set_axis_off()
    with atomic_path(path) as part:
        figure.savefig(part, format="png", dpi=_DPI)


def _lines(points: Sequence[Point]) -> dict[str, list[Point]]:
    """The points of each combination of the settings but the first."""
    found: dict[str, list[Point]] = {}
    for point in points:
        others = dict(list(point.settings.items())[1:])
        found.setdefault(settings_text(others), []).append(point)
    return found


def _plot_over(axes: Axes, lines: Mapping[str, Sequence[Point]], name: str) -> None:
    setting = next(iter(next(iter(lines.values()))[0].settings))
    for colour, (label, points) in zip(itertools.cycle(_COLOURS), lines.items(), strict=False):
        x, ticks = _places([point.settings[setting] for point in points])
        values = [point.values[name] for point in points]
        axes.errorbar(x, [v.value for v in values], _bars(values), **_style(colour, label))
        if ticks:
            axes.set_xticks(x, ticks)
    axes.set_xlabel(setting, fontsize=9)
    axes.set_title(name, loc="left", fontsize=10)
    _finish(axes, lines)


def _plot_pair(axes: Axes, lines: Mapping[str, Sequence[Point]], across: str, up: str) -> None:
    for colour, (label, points) in zip(itertools.cycle(_COLOURS), lines.items(), strict=False):
        x, y = ([point.values[name] for point in points] for name in (across, up))
        axes.errorbar(
            [v.value for v in x], [v.value for v in y], _bars(y), _bars(x), **_style(colour, label)
        )
        for point, a, b in zip(points, x, y, strict=True):
            text = f"{next(iter(point.settings.values()))}"
            at = (a.value, b.value)
            axes.annotate(text, at, (4, 4), textcoords="offset points", fontsize=8)
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(up, fontsize=9)
    _finish(axes, lines)


def _places(values: Sequence[Any]) -> tuple[list[float], list[str]]:
    """Where values are on the x axis, and their labels; []: they are numbers."""
    if all(isinstance(value, int | float) for value in values):
        return [float(value) for value in values], []
    return [float(i) for i in range(len(values))], [str(value) for value in values]


def _bars(values: Sequence[Value]) -> list[list[float]]:
    """How far the intervals reach down and up from their values; 0 where there is none."""
    down = [v.value - v.low if v.low is not None else 0.0 for v in values]
    up = [v.high - v.value if v.high is not None else 0.0 for v in values]
    return [[max(0.0, length) for length in each] for each in (down, up)]


def _style(colour: str, label: str) -> dict[str, Any]:
    return {"color": colour, "label": label, "marker": "o", "markersize": 4, "capsize": 2}


def _finish(axes: Axes, lines: Mapping[str, Any]) -> None:
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8)
