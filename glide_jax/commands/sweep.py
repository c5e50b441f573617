"""`glide-jax sweep`."""

import argparse
from typing import TYPE_CHECKING

from glide_jax.commands import evaluation_options, sampling_options
from glide_jax.commands.command import Run, accept_overrides
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.evaluation.registry import METRICS, MODEL
from glide_jax.storage import check_writable

if TYPE_CHECKING:
    from glide_jax.evaluation.sweep import Axis


def add(parser: Parser) -> Run:
    """Compute metrics over the values of sampling settings, and plot them: the papers' curves, such
    as recall against prompt truth over guidance scales. A sweep that was stopped goes on."""
    evaluation_options.add_models(parser)
    parser.add_argument(
        "--over",
        action="append",
        metavar="SETTING=A,B,…",
        help="a sampling setting of the first model, such as guidance_scale=1,2,3, or of another, "
        "upsampler.steps=20,50; aug_level is of all upsamplers; values with commas are parted by ; "
        "and may be repeated: every combination is sampled",
    )
    evaluation_options.add_metrics(parser)
    parser.add_argument(
        "--best",
        metavar="NUMBER",
        help="the number whose best point is named at the end; default: the first metric's first",
    )
    sampling_options.add_settings(parser)
    accept_overrides(parser, "stages.upsampler.sampling.steps=20")
    return _run


def _run(arguments: argparse.Namespace) -> None:
    names = evaluation_options.check_arguments(arguments)
    if not arguments.checkpoint:
        raise UserError("give --checkpoint DIR, the workdir of training or of import")
    if not arguments.over:
        raise UserError("give --over SETTING=A,B,…, such as --over guidance_scale=1,2,3")
    if of_models := [name for name in names if MODEL in METRICS[name].needs]:
        raise UserError(
            f"{of_models[0]} is a metric of a model, whatever it is sampled with: leave it out"
        )
    check_writable(evaluation_options.folder_of(arguments))
    from glide_jax.evaluation.sweep import parse_axis

    # Its settings have no dashes, unlike flags.
    axes = tuple(parse_axis(text) for text in arguments.over)
    with sampling_options.in_flags():
        _sweep(arguments, names, axes)


def _sweep(arguments: argparse.Namespace, names: tuple[str, ...], axes: "tuple[Axis, ...]") -> None:
    experiment, pipeline = evaluation_options.load(arguments)
    from glide_jax.commands.generation_progress import GenerationLine
    from glide_jax.evaluation.curves import write_curves
    from glide_jax.evaluation.settings import with_settings
    from glide_jax.evaluation.sweep import (
        Sweep,
        best_of,
        path_of,
        run_sweep,
        settings_text,
    )
    from glide_jax.parallel.processes import by_first_process, progress_stream

    prompts = next(evaluation_options.choice_of(arguments).prompt_sets(experiment))
    evaluation_options.check_prompts(names, prompts)
    compared = {"reference": arguments.reference, "net": arguments.net, "resize": arguments.resize}
    compared |= {"clip": arguments.clip and str(arguments.clip)}
    fixed = evaluation_options.settings_of(arguments)
    if both := [axis.setting for axis in axes if axis.setting in fixed]:
        raise UserError(f"{both[0]} is swept over, and set to {fixed[both[0]]} too: leave one out")
    sweep = Sweep(axes, prompts, fixed, compared)
    for settings in sweep.points:
        with_settings(pipeline, {**sweep.fixed, **settings})
    instruments = evaluation_options.instruments_of(arguments, names, experiment, pipeline)
    generator = evaluation_options.generator_of(arguments, experiment, pipeline)
    path = path_of(sweep, generator, instruments)
    with GenerationLine(progress_stream(), prompts.name) as line:

        def show(point) -> None:
            line.end()
            best_of([point], arguments.best)  # a wrong name is said at the first point
            shown = [f"{name} {point.values[name].value:.5g}" for name in point.headlines]
            print(f"{settings_text(point.settings)}: {', '.join(shown)}", flush=True)

        points = run_sweep(sweep, generator, instruments, path, line, line.wait, show)
    if not points:
        return
    title = f"{prompts.name}, {len(prompts):,} images a point"
    by_first_process(write_curves)(path.with_suffix(".png"), points, title)
    name, best = best_of(points, arguments.best)
    value = best.values[name]
    interval = "" if value.low is None else f" ({value.low:.4g} … {value.high:.4g})"
    print(f"best {name}: {value.value:.5g}{interval} at {settings_text(best.settings)}")
    print(f"{path}\n{path.with_suffix('.png')}")
