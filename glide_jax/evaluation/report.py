"""report.png: one image of a run, with its curves, speed, samples and scores."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter
from PIL import Image

from glide_jax.errors import UserError
from glide_jax.evaluation.metrics.prompt_truth import ALL
from glide_jax.evaluation.metrics.prompt_truth import NAME as TRUTH
from glide_jax.evaluation.summary import METRICS, read_summary
from glide_jax.parallel.processes import by_first_process
from glide_jax.training.monitoring.sinks.json_lines import FILE as _LINES
from glide_jax.training.monitoring.sinks.json_lines import complete_lines
from glide_jax.writing import atomic_path

FILE = "report.png"
_SAMPLES = "samples.png"

_WIDTH = 14.0
_ROW = 3.3
_DPI = 110
_POINTS = 300
"""The most points of a curve: more could not be seen."""
_BLUE, _GREY = "#1f5fa8", "#b9c4d0"
_QUARTERS = {
    "#fdae61": "least noise",
    "#d7667a": "second quarter",
    "#8c4ea3": "third",
    "#2c2a6b": "most noise",
}

Rows = list[dict[str, Any]]


@by_first_process
def write_report(workdir: Path) -> None:
    """Plot WORKDIR/report.png from the files there; the run need not be finished.

    Args:
        workdir: with the metrics of one stage or more.

    Raises:
        UserError: it has no metrics, or damaged ones.
        DiskError: it can't be written.
    """
    stages = _stages(workdir)
    if not stages:
        raise UserError(
            f"{workdir} has no stage with {_LINES} to report: train there, with 'jsonl' in "
            "monitoring.sinks"
        )
    summary = read_summary(workdir)
    sheet = workdir / _SAMPLES
    image = Image.open(io.BytesIO(sheet.read_bytes())).convert("RGB") if sheet.exists() else None
    scores = _scores(summary)
    figure = _figure(workdir.absolute().name, stages, summary, image, scores)
    with atomic_path(workdir / FILE) as part:
        figure.savefig(part, format="png", dpi=_DPI)


def _stages(workdir: Path) -> dict[str, Rows]:
    """The metrics of each stage, in the order in which the stages were trained."""
    found = sorted(workdir.glob(f"*/{_LINES}"), key=lambda file: file.stat().st_mtime_ns)
    read = {file.parent.name: [row for _, row in complete_lines(file)] for file in found}
    return {name: rows for name, rows in read.items() if rows}


def _scores(summary: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Set of images → respect → share of images that are right in it; {}: nothing was scored."""
    found = {}
    for name, values in summary.get(METRICS, {}).items():
        shares = {
            key.removeprefix(f"{TRUTH}_") if key != TRUTH else ALL: numbers["value"]
            for key, numbers in values.items()
            if key.startswith(TRUTH)
        }
        if shares:
            found[name] = shares
    return found or _flat(summary.get("scores", {}))


def _flat(scores: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What 0.2 wrote: {split: {guidance: {respect: share}}} → {"split, guidance": …}."""
    return {
        f"{split}, {guidance.replace('_', ' ')}": measures
        for split, by_guidance in scores.items()
        for guidance, measures in by_guidance.items()
    }


def _figure(
    name: str,
    stages: Mapping[str, Rows],
    summary: Mapping[str, Any],
    image: Image.Image | None,
    scores: Mapping[str, Mapping[str, float]],
) -> Figure:
    heights = [_ROW] * len(stages)
    if image is not None:
        heights.append((_WIDTH - 0.6) * image.height / image.width)
    if scores:
        heights.append(_ROW)
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.8), layout="constrained")
    figure.suptitle(f"{_headline(name, stages, summary)}\n", fontsize=13, x=0.01, ha="left")
    parts = iter(figure.subfigures(len(heights), height_ratios=heights, squeeze=False)[:, 0])
    for stage, rows in stages.items():
        _plot_stage(next(parts), stage, rows)
    if image is not None:
        axes = next(parts).subplots()
        axes.imshow(np.asarray(image), interpolation="lanczos")
        axes.set_axis_off()
    if scores:
        _plot_scores(next(parts).subplots(), scores)
    return figure


def _headline(name: str, stages: Mapping[str, Rows], summary: Mapping[str, Any]) -> str:
    steps = ", ".join(f"{stage} {rows[-1]['step']:,} steps" for stage, rows in stages.items())
    parts = [name, steps]
    if "seconds" in summary:
        parts.append(f"{summary['seconds'] / 60:,.1f} min, {summary['peak_rss_gib']} GiB of memory")
    return "   ·   ".join(parts)


def _plot_stage(part: SubFigure, stage: str, rows: Rows) -> None:
    plots = [_plot_loss, _plot_quarters, _plot_speed]
    for axes, plot in zip(part.subplots(1, len(plots)), plots, strict=True):
        axes.set_xlabel("step", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        plot(axes, stage, rows)


def _plot_loss(axes: Axes, stage: str, rows: Rows) -> None:
    axes.set_title(f"{stage}: loss", loc="left")
    step, value = _curve(rows, "loss")
    axes.plot(step, value, color=_GREY, linewidth=1)
    if len(value):
        axes.plot(step, _smooth(value), color=_BLUE)
    _logarithmic(axes)
    steps = [row["step"] for row in rows if row.get("skipped")]
    if steps:
        across = axes.get_xaxis_transform()  # x in steps, y as a share of the height
        axes.plot(steps, [0.02] * len(steps), "^", color="crimson", transform=across)
        skipped = sum(row["skipped"] for row in rows if row.get("skipped"))
        _note(axes, f"{skipped:,} steps skipped", height=0.9)


def _plot_quarters(axes: Axes, stage: str, rows: Rows) -> None:
    for i, (colour, name) in enumerate(_QUARTERS.items(), 1):
        step, value = _curve(rows, f"loss_q{i}")
        if len(value):
            axes.plot(step, _smooth(value), color=colour, label=name)
    if not axes.lines:
        axes.set_axis_off()
        return
    axes.set_title("its loss by noise level", loc="left")
    _logarithmic(axes)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.2)  # for the legend
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")


def _plot_speed(axes: Axes, stage: str, rows: Rows) -> None:
    axes.set_title("images per second", loc="left")
    step, value = _curve(rows, "images_per_s")
    axes.plot(step, value, color=_BLUE, marker="" if len(value) > 1 else "o")
    axes.set_ylim(0, 1.25 * max(value, default=1))
    _note(axes, _speed_in_words(rows))


def _speed_in_words(rows: Rows) -> str:
    """Means over the later half of the metrics, which leaves out the start."""
    half = rows[len(rows) // 2 :]
    words = []
    for name, shown in (
        ("mfu", "MFU {:.0%}"),
        ("input_wait", "{:.1%} of the time waiting for data"),
    ):
        values = [row[name] for row in half if row.get(name) is not None]
        if values:
            words.append(shown.format(np.mean(values)))
    return ", ".join(words)


def _plot_scores(axes: Axes, scores: Mapping[str, Mapping[str, float]]) -> None:
    measures = list(dict.fromkeys(name for values in scores.values() for name in values))
    measures = [m for m in measures if all(0 <= v.get(m, -1) <= 1 for v in scores.values())]
    width = 0.8 / len(scores)
    colours = ("#1f5fa8", "#7fb0dd", "#b35806", "#f1a340", "#4d9221", "#a1d76a")
    for i, (name, values) in enumerate(scores.items()):
        places = np.arange(len(measures)) + (i - (len(scores) - 1) / 2) * width
        heights = [100 * values[m] for m in measures]
        bars = axes.bar(places, heights, width * 0.92, label=name, color=colours[i % len(colours)])
        axes.bar_label(bars, fmt="%.0f", fontsize=8, padding=1)
    axes.set_xticks(range(len(measures)), measures)
    axes.set_title("correct images, % of captions", loc="left")
    axes.set_ylim(0, 108)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))


def _curve(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps, values) of the rows that have it; many are averaged in groups of neighbours."""
    pairs = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    if not pairs:
        return np.empty(0), np.empty(0)
    groups = np.array_split(np.array(pairs, float), min(len(pairs), _POINTS))
    step, value = np.array([group.mean(0) for group in groups]).T
    return step, value


def _smooth(values: np.ndarray) -> np.ndarray:
    """The mean over a twentieth of the curve around each point."""
    kernel = np.ones(2 * (len(values) // 20) + 1)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")


def _logarithmic(axes: Axes) -> None:
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines])
    if len(values) and values.min() > 0:
        axes.set_yscale("log")
        plain, few = StrMethodFormatter("{x:g}"), values.max() < 10 * values.min()
        axes.yaxis.set_major_formatter(plain)
        axes.yaxis.set_minor_formatter(plain if few else NullFormatter())


def _note(axes: Axes, text: str, height: float = 0.06) -> None:
    axes.text(0.99, height, text, transform=axes.transAxes, ha="right", fontsize=9, color="#444444")
