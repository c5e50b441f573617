"""`glide-jax evaluate`."""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glide_jax.commands import evaluation_options, joining, sampling_options
from glide_jax.commands.command import Run, accept_overrides, given_path, run_command
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.storage import check_writable

if TYPE_CHECKING:
    from glide_jax.evaluation.evaluating import Instruments
    from glide_jax.evaluation.results import Results

RESULTS = "results.json"


def add(parser: Parser) -> Run:
    """Compute metrics of a model, of a folder of images or of an .npz: FID and its relatives, CLIP
    score, prompt truth, bits/dim. Generated images are kept: a run that was stopped goes on."""
    evaluation_options.add_models(parser)
    parser.add_argument(
        "--images",
        type=given_path,
        metavar="FOLDER|NPZ",
        help="evaluate these, not a model's: image files, or an .npz with arr_0",
    )
    evaluation_options.add_metrics(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the results as JSON, not as a table"
    )
    sampling_options.add_settings(parser)
    accept_overrides(parser, "evaluation.num_captions=100")
    return _run


def evaluate(workdir: Path, overrides: Sequence[str] = ()) -> None:
    """`glide-jax evaluate` of a workdir.

    Args:
        workdir: of training or of import.
        overrides: changes of the checkpoint's config, `KEY=VALUE` each.

    Raises:
        UserError: there is no model, an override is wrong, or prompt_truth can't be computed.
    """
    run_command("evaluate", add, [f"--checkpoint={workdir}"], overrides)


def _run(arguments: argparse.Namespace) -> None:
    names = evaluation_options.check_arguments(arguments)
    if (arguments.images is None) == (not arguments.checkpoint):
        raise UserError(
            "give --checkpoint DIR, the workdir of training or of import, or --images FOLDER|NPZ"
        )
    begun = time.perf_counter()
    check_writable(evaluation_options.folder_of(arguments))
    evaluate_what = _evaluate_models if arguments.checkpoint else _evaluate_files
    with sampling_options.in_flags():
        found = evaluate_what(arguments, names)
    if not found:
        return
    if arguments.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    _keep(arguments, found, time.perf_counter() - begun)


def _evaluate_models(arguments: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """The results of each set of images, as JSON; {}: another process has them."""
    experiment, pipeline = evaluation_options.load(arguments)
    from glide_jax.commands.generation_progress import GenerationLine
    from glide_jax.evaluation.sets import guidance_scales
    from glide_jax.parallel.processes import progress_stream

    choice = evaluation_options.choice_of(arguments)
    settings = evaluation_options.settings_of(arguments)
    instruments = evaluation_options.instruments_of(arguments, names, experiment, pipeline)
    generator = evaluation_options.generator_of(arguments, experiment, pipeline)
    found: dict[str, Any] = {}
    scales = guidance_scales(pipeline, experiment, settings)
    for prompts in choice.prompt_sets(experiment) if instruments.image_metrics else ():
        evaluation_options.check_prompts(names, prompts)
        for scale in scales:
            asked = settings | {"guidance_scale": scale}
            with GenerationLine(progress_stream(), prompts.name) as line:
                images, folder = generator.generate(prompts, asked, line, line.wait)
            if generator.share.is_first:
                results = instruments.of_images(images, prompts, folder)
                _show(arguments, images.name, results, found, images)
    if generator.share.is_first:
        _evaluate_model(arguments, instruments, experiment, pipeline, found)
    return found


def _evaluate_model(
    arguments: argparse.Namespace,
    instruments: "Instruments",
    experiment: Any,
    pipeline: Any,
    found: dict[str, Any],
) -> None:
    """Add the metrics that are of a model, on each split."""
    if not instruments.model_metrics:
        return
    from glide_jax.commands.sampling_progress import ProgressLine
    from glide_jax.evaluation.metric import ModelSplit
    from glide_jax.parallel.processes import progress_stream

    for split in evaluation_options.choice_of(arguments).splits_of(experiment):
        model = ModelSplit(pipeline, experiment, split, arguments.num_images)
        with ProgressLine(progress_stream(), None) as on_progress:
            results = instruments.of_model(model, on_progress)
        _show(arguments, split, results, found, None)


def _evaluate_files(arguments: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """The results of images that somebody has, as JSON."""
    evaluation_options.check_for_files(arguments, names)
    from glide_jax import runtime
    from glide_jax.evaluation.images.files import open_images

    runtime.configure(1)
    joining.join_run(arguments)
    images = open_images(arguments.images)
    prompts = evaluation_options.prompts_of_files(arguments, images)
    evaluation_options.check_prompts(names, prompts)
    instruments = evaluation_options.instruments_of(arguments, names, None, None)
    found: dict[str, Any] = {}
    results = instruments.of_images(images, prompts, arguments.out)
    _show(arguments, images.name, results, found, images)
    return found


def _show(
    arguments: argparse.Namespace,
    name: str,
    results: "Results",
    found: dict[str, Any],
    images: Any,
) -> None:
    """Print the results of one set, unless all are printed as JSON, and add them to those found."""
    from glide_jax.evaluation.results import table, to_json

    found[name] = to_json(results, images)
    if arguments.json:
        return
    count = f", {images.count:,} images of {images.width}×{images.height}" if images else ""
    print(f"{name}{count}")
    print("\n".join(f"  {line}".rstrip() for line in table(results).split("\n")))
    notes = [*(images.notes if images else ()), *(n for r in results.values() for n in r.notes)]
    print("".join(f"  note: {note}\n" for note in notes), end="", flush=True)


def _keep(arguments: argparse.Namespace, found: Mapping[str, Any], seconds: float) -> None:
    """Write the results into the evaluation's folder, and in short into the workdir's summary."""
    from glide_jax.evaluation.results import add_results, in_short
    from glide_jax.evaluation.summary import update_summary

    folder = evaluation_options.folder_of(arguments)
    if folder is not None:
        add_results(folder / RESULTS, found)
    if arguments.checkpoint:
        took = {"seconds": round(seconds, 1)}
        update_summary(arguments.checkpoint[0], {"evaluate": took}, metrics=in_short(found))
