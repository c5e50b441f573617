"""Prompt truth of a trained workdir by sampling time: samplers, steps, guidance intervals."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glide_jax.evaluation.evaluating import Instruments
from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.evaluation.prompt_sets.from_data import prompts_of_split
from glide_jax.runtime import enable_compilation_cache
from glide_jax.sampling.loading import load_stages
from glide_jax.sampling.pipeline import Pipeline
from sampling_suite import released_size
from sampling_suite.plot import plot
from sampling_suite.timing import once, table

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
FIGURES = (
    "prompt_truth_colour",
    "prompt_truth_shape",
    "prompt_truth_relation",
    "prompt_truth",
)
WITH_INTERVAL = (("ddpm", "100"), ("dpm_solver++", "logsnr20"), ("dpm_solver++", "logsnr10"))
"""These are also run with guidance in an interval alone."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--split", default="test", metavar="NAME")
    parser.add_argument("--captions", type=int, default=256, metavar="N")
    parser.add_argument("--guidance-scale", type=float, default=3.0, metavar="X")
    parser.add_argument(
        "--interval", type=float, nargs=2, default=(0.2, 0.9), metavar=("LOW", "HIGH")
    )
    parser.add_argument("--plot", type=Path, metavar="PNG")


def run(arguments: argparse.Namespace) -> None:
    """Measure and print a table."""
    enable_compilation_cache()
    experiment, stages = load_stages(arguments.workdir)
    prompts = prompts_of_split(experiment, arguments.split, arguments.captions)
    instruments = Instruments(("prompt_truth",), experiment.seed)
    base, cascade = Pipeline(tuple(stages[:1])), Pipeline(tuple(stages))
    variants: list[dict[str, Any]] = [
        {"sampler": sampler, "steps": steps} for sampler, steps in SAMPLERS
    ]
    variants += [
        {"sampler": sampler, "steps": steps, "guidance_interval": tuple(arguments.interval)}
        for sampler, steps in WITH_INTERVAL
    ]
    head = ("sampler", "steps", "guidance interval", *FIGURES, "ms per image", "speed-up")
    rows, points, first = [], [], None
    for variant in variants:
        settings = variant | {"guidance_scale": arguments.guidance_scale}
        ms = 1e3 * seconds_per_image(base, prompts.captions, settings)
        output = cascade(prompts.captions, seed=experiment.seed, **settings)
        images = image_set_of(output.arrays, name_of(variant))
        values = instruments.of_images(images, prompts, None)["prompt_truth"].values
        shares = {name: values[name].value for name in FIGURES if name in values}
        first = first or ms
        percents = [f"{shares.get(name, float('nan')):.1%}" for name in FIGURES]
        interval = variant.get("guidance_interval")
        where = "all steps" if interval is None else " … ".join(map(str, interval))
        rows.append((variant["sampler"], variant["steps"], where, *percents, ms, first / ms))
        print(*rows[-1], flush=True)
        points.append((ms, shares["prompt_truth"], name_of(variant), interval is not None))
    num_captions, threads = len(prompts.captions), released_size.threads()
    print(f"{num_captions} captions of {arguments.split}, {threads} threads;")
    print("the time is the base model's: the upsampler's is the same for all")
    print(table(head, rows))
    if arguments.plot:
        plot(points, arguments.plot)
        print(arguments.plot)


def name_of(variant: Mapping[str, Any]) -> str:
    """A variant in a few words."""
    guided = ", guidance interval" if "guidance_interval" in variant else ""
    return f"{variant['sampler']} {variant['steps']}{guided}"


def seconds_per_image(base: Pipeline, captions: list[str], settings: Mapping[str, Any]) -> float:
    """The base model's time for one image of a full batch, without compilation."""
    size = base.stages[0].config.sampling.batch_size
    some = (captions * size)[:size]
    base(some, **settings)
    return min(once(lambda: base(some, **settings)).wall for _ in range(3)) / size
