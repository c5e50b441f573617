"""A sweep: the same prompts sampled with several values of settings, and the metrics of each.

settings' values ─ points ─→ each: images (kept) ─ Instruments ─→ results ─→ JSON after each point
                                                                        └─→ curves, the best point
"""

import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from glide_jax.data.source import fingerprint_of
from glide_jax.errors import UserError, unknown_name
from glide_jax.evaluation.evaluating import Instruments
from glide_jax.evaluation.images.generated import OnGeneration, decided_by
from glide_jax.evaluation.metric import Value
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.evaluation.registry import METRICS
from glide_jax.evaluation.results import to_json, write_json
from glide_jax.evaluation.sets import Generator
from glide_jax.evaluation.settings import parse_setting
from glide_jax.sampling.output import slug

FOLDER = "sweeps"
"""In the folder of an evaluation."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """A setting and the values that it takes.

    Attributes:
        setting: `guidance_scale`, or `STAGE.guidance_scale`, see `with_settings`.
        values: of it, two or more.
    """

    setting: str
    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Point:
    """What a sweep found with some settings.

    Attributes:
        settings: setting → value, of each axis.
        values: name of a number → the number.
        headlines: the names of those that points are compared by, → the metric that each is of.
        record: all of it, as JSON.
    """

    settings: Mapping[str, Any]
    values: Mapping[str, Value]
    headlines: Mapping[str, str]
    record: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What is swept over.

    Attributes:
        axes: the settings; each combination of their values is a point.
        prompts: of every point.
        fixed: settings that all points have.
        reference: its name, and that of the CLIP, for the record.
    """

    axes: tuple[Axis, ...]
    prompts: PromptSet
    fixed: Mapping[str, Any]
    reference: Mapping[str, Any]

    @property
    def points(self) -> list[dict[str, Any]]:
        """The settings of each point, the last axis changing fastest."""
        names = [axis.setting for axis in self.axes]
        values = itertools.product(*(axis.values for axis in self.axes))
        return [dict(zip(names, each, strict=True)) for each in values]


def parse_axis(text: str) -> Axis:
    """`guidance_scale=1,2,3` as an axis; values that have commas themselves are parted by `;`.

    Raises:
        UserError: there is no such setting, a value is of another type, or there are fewer than 2.
    """
    name, equals, rest = text.partition("=")
    name = name.replace("-", "_")
    words = [word.strip() for word in rest.split(";" if ";" in rest else ",")]
    values = ()
    if equals and len(words) > 1:
        values = tuple(dict.fromkeys(parse_setting(name, word) for word in words))
    if len(values) < 2:
        raise UserError(
            f"--over={text}: give a setting and two values or more, as guidance_scale=1,2,3; "
            "values with commas as 'steps=10,10,3,2,2;fast27'"
        )
    return Axis(name, values)


def path_of(sweep: Sweep, generator: Generator, instruments: Instruments) -> Path:
    """The JSON file of a sweep; its name depends on all that decides a point but its settings."""
    decided = decided_by(generator.pipeline, sweep.prompts, generator.seed)
    names = [axis.setting for axis in sweep.axes]
    parts = [decided, names, sweep.fixed, sweep.reference, instruments.metrics, len(sweep.prompts)]
    fingerprint = fingerprint_of([json.dumps(parts, sort_keys=True, default=str)])
    name = slug("-".join([*names, sweep.prompts.name]))
    return generator.folder / FOLDER / f"{name}-{fingerprint[:8]}.json"


def run_sweep(
    sweep: Sweep,
    generator: Generator,
    instruments: Instruments,
    path: Path,
    on_progress: OnGeneration | None,
    on_wait: Callable[[int], object],
    on_point: Callable[[Point], object],
) -> list[Point]:
    """Generate and measure every point that the JSON file does not have yet.

    Args:
        sweep: what to sweep over.
        generator: of the images.
        instruments: the metrics; all of them must be of images.
        path: the JSON file, written after each point.
        on_progress, on_wait: see `Generator.generate`.
        on_point: called with each point.

    Returns:
        The points; []: this is not the first process, and another has them.

    Raises:
        UserError: a value makes no sense, or a metric can't be computed.
    """
    known = _read(path)
    points: list[Point] = []
    for settings in sweep.points:
        key = json.dumps(settings, default=str)
        record = known.get(key)
        if record is None:
            asked = {**sweep.fixed, **settings}
            images, folder = generator.generate(sweep.prompts, asked, on_progress, on_wait)
            if not generator.share.is_first:
                continue
            results = instruments.of_images(images, sweep.prompts, folder)
            headlines = {name: m for m, result in results.items() for name in result.headlines}
            record = {"settings": settings, "headlines": headlines, **to_json(results, images)}
        points.append(_point(settings, record))
        known[key] = record
        write_json(path, _content(sweep, instruments, list(known.values())))
        on_point(points[-1])
    return points


def best_of(points: Sequence[Point], name: str | None) -> tuple[str, Point]:
    """The point with the best number.

    Args:
        points: of a sweep.
        name: of a number; None: the first headline.

    Returns:
        (the number's name, the point).

    Raises:
        UserError: the points have no such number.
    """
    name = name or next(iter(points[0].headlines))
    if name not in points[0].values:
        raise unknown_name("number of the sweep", name, points[0].values)
    metrics = points[0].record["metrics"]
    metric = next(m for m, result in metrics.items() if name in result["values"])
    sign = 1 if METRICS[metric].lower_is_better else -1
    return name, min(points, key=lambda point: sign * point.values[name].value)


def settings_text(settings: Mapping[str, Any]) -> str:
    """`guidance_scale=3, steps=20`."""
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _point(settings: Mapping[str, Any], record: Mapping[str, Any]) -> Point:
    values = {
        name: Value(**numbers)
        for metric in record["metrics"].values()
        for name, numbers in metric["values"].items()
    }
    return Point(settings, values, record["headlines"], record)


def _content(sweep: Sweep, instruments: Instruments, records: Sequence[Any]) -> dict[str, Any]:
    return {
        "over": {axis.setting: list(axis.values) for axis in sweep.axes},
        "fixed": dict(sweep.fixed),
        "prompts": {"name": sweep.prompts.name, "count": len(sweep.prompts)},
        "metrics": list(instruments.metrics),
        "compared_with": dict(sweep.reference),
        "points": list(records),
    }


def _read(path: Path) -> dict[str, Any]:
    """The points of a sweep's file, by their settings; {}: there are none."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text("utf-8"))
    return {json.dumps(one["settings"], default=str): one for one in content["points"]}
