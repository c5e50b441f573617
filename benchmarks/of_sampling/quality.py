"""Prompt-truth of a trained workdir by seconds: samplers, their steps, guidance in an interval."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glide_jax.compile_cache import keep_compiled
from glide_jax.config import with_overrides
from glide_jax.evaluation.prompt_truth import open_exam
from glide_jax.pipelines.loading import load_stages
from glide_jax.pipelines.pipeline import Pipeline
from of_sampling import released_size
from of_sampling.plot import plot
from of_sampling.timing import once, table

SAMPLERS = (
    ("ddpm", "100"),
    ("ddpm", "20"),
    ("ddim", "100"),
    ("ddim", "20"),
    ("ddim", "10"),
    ("dpm_solver++", "logsnr20"),
    ("dpm_solver++", "logsnr10"),
    ("dpm_solver++", "logsnr6"),
)
FIGURES = ("colour", "shape", "relation", "all")
GUIDED_IN = (("ddpm", "100"), ("dpm_solver++", "logsnr20"), ("dpm_solver++", "logsnr10"))
"""These are tried with guidance in an interval too."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its words."""
    parser.add_argument("--split", default="test", metavar="NAME")
    parser.add_argument("--captions", type=int, default=256, metavar="N")
    parser.add_argument("--guidance-scale", type=float, default=3.0, metavar="X")
    parser.add_argument(
        "--interval", type=float, nargs=2, default=(0.2, 0.9), metavar=("LOW", "HIGH")
    )
    parser.add_argument("--plot", type=Path, metavar="PNG")


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print."""
    keep_compiled()
    experiment, stages = load_stages(arguments.workdir)
    count = [f"evaluation.num_captions={arguments.captions}"]
    exam = open_exam(with_overrides(experiment, count), arguments.split)
    base, cascade = Pipeline(tuple(stages[:1])), Pipeline(tuple(stages))
    ways = [{"sampler": sampler, "steps": steps} for sampler, steps in SAMPLERS]
    ways += [
        {"sampler": sampler, "steps": steps, "guidance_interval": tuple(arguments.interval)}
        for sampler, steps in GUIDED_IN
    ]
    head = ("sampler", "steps", "guidance in", *FIGURES, "ms a picture", "times as fast")
    rows, points, first = [], [], None
    for way in ways:
        settings = way | {"guidance_scale": arguments.guidance_scale}
        ms = 1e3 * seconds_a_picture(base, exam.captions, settings)
        drawn = cascade(exam.captions, seed=experiment.seed, **settings)
        shares = exam.shares(drawn.arrays)
        first = first or ms
        percents = [f"{shares.get(name, float('nan')):.1%}" for name in FIGURES]
        interval = way.get("guidance_interval")
        where = "all of it" if interval is None else " … ".join(map(str, interval))
        rows.append((way["sampler"], way["steps"], where, *percents, ms, first / ms))
        print(*rows[-1], flush=True)
        points.append((ms, shares["all"], name_of(way), interval is not None))
    print(f"{len(exam.captions)} captions of {arguments.split}, {released_size.threads()} threads;")
    print("the time is the base model's: the upsampler's is the same for all")
    print(table(head, rows))
    if arguments.plot:
        plot(points, arguments.plot)
        print(arguments.plot)


def name_of(way: Mapping[str, Any]) -> str:
    """A way in a few words."""
    guided = " guided in a part" if "guidance_interval" in way else ""
    return f"{way['sampler']} {way['steps']}{guided}"


def seconds_a_picture(base: Pipeline, captions: list[str], settings: Mapping[str, Any]) -> float:
    """What the base model takes for a picture of a whole batch, once it is compiled."""
    size = base.stages[0].config.sampling.batch_size
    some = (captions * size)[:size]
    base(some, **settings)
    return min(once(lambda: base(some, **settings)).wall for _ in range(3)) / size
