"""What the commands share that compute metrics: their arguments, and what these stand for."""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glide_jax.commands import joining, sampling_options
from glide_jax.commands.command import given_path
from glide_jax.commands.progress_options import add_preview, add_progress
from glide_jax.config import SamplingConfig
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.evaluation.registry import (
    CAPTIONS,
    CLIP,
    FACTS,
    METRICS,
    MODEL,
    REFERENCE,
    needed,
    parse_metrics,
)
from glide_jax.storage import fetched

if TYPE_CHECKING:
    from glide_jax.config import Experiment
    from glide_jax.evaluation.evaluating import Instruments
    from glide_jax.evaluation.images.image_set import ImageSet
    from glide_jax.evaluation.opening import NetChoice
    from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
    from glide_jax.evaluation.sets import Choice, Generator
    from glide_jax.sampling.pipeline import Pipeline

FOLDER = "evaluation"
"""Of a workdir: generated images, features and results."""


def add_models(parser: Parser) -> None:
    """Add --checkpoint, --text-encoder and --adapter."""
    sampling_options.add_checkpoint(parser)
    parser.add_argument(
        "--text-encoder",
        type=given_path,
        metavar="DIR",
        help="for a model that was trained on a frozen text encoder; see `sample --help`",
    )
    sampling_options.add_adapters(parser)


def add_metrics(parser: Parser) -> None:
    """Add what says which metrics are computed, of what, and with what."""
    parser.add_argument(
        "--metrics",
        default="prompt_truth",
        metavar="A,B,…",
        help=f"of {', '.join(METRICS)}; default: prompt_truth",
    )
    parser.add_argument(
        "--split",
        action="append",
        dest="splits",
        metavar="NAME",
        help="sample captions of this part of the model's data set; may be repeated; default: the "
        "config's evaluation.splits, or test",
    )
    parser.add_argument(
        "--captions",
        choices=("first", "random"),
        default="first",
        help="of a split: the first caption of each image, or any of all captions, in an order "
        "that the config's seed decides; default: first",
    )
    parser.add_argument(
        "--prompts",
        metavar="NAME|FILE",
        help="instead of a split: a prompt set of this package, skills, or a file of prompts: "
        "text, .tsv, .csv or .jsonl; of --images, what they show, in the order of their names",
    )
    parser.add_argument(
        "--num-images",
        type=int,
        metavar="N",
        help="images of each split or prompt set; more than it has prompts: they come round again; "
        "default: the config's evaluation.num_captions, all prompts of a file, of bits_per_dim 64",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="random seed; default: that of the config"
    )
    parser.add_argument(
        "--reference",
        metavar="NPZ|FOLDER|SPLIT",
        help="what images are compared with: an .npz of images or statistics, as ADM's evaluator "
        "and pytorch-fid have them, a folder of images, or a split of the model's data set",
    )
    add_net(parser)
    parser.add_argument(
        "--clip",
        type=given_path,
        metavar="DIR",
        help="a noised CLIP's workdir, for CLIP's metrics",
    )
    joining.add_coordinator(
        parser,
        "without it, processes with --num-processes and --process-id generate images apart, and "
        "the first one waits for the others' and computes the metrics; with it, generate and "
        "compute",
    )
    parser.add_argument(
        "--out",
        type=given_path,
        metavar="DIR",
        help=f"folder for generated images, features and results; default: CHECKPOINT/{FOLDER}",
    )
    add_progress(parser)
    add_preview(parser)


def add_net(parser: Parser) -> None:
    """Add what says which feature net."""
    group = parser.add_argument_group("feature net", "of FID and its relatives")
    group.add_argument(
        "--net",
        default="inception",
        metavar="NAME",
        help="inception, or efficientnet_lite0, whose weights pip carries and whose metrics have "
        "other names; default: inception",
    )
    group.add_argument(
        "--net-weights",
        type=given_path,
        metavar="FILE",
        help="its weights; default: where `glide-jax download inception` or pip puts them",
    )
    group.add_argument(
        "--resize",
        metavar="NAME",
        help="tensorflow or pytorch, which differ by a hundredth of a feature; default: the net's",
    )


def check_arguments(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The names of the metrics. JAX is not loaded.

    Raises:
        UserError: an argument makes no sense, or a metric needs one that is not there.
    """
    names = parse_metrics(arguments.metrics)
    count, index = arguments.num_processes, arguments.process_id
    wrong = (count is None) != (index is None) or (count and not 0 <= index < count)
    if wrong and not arguments.coordinator:
        raise UserError(
            "--num-processes=N needs --process-id=I, from 0 to N - 1, another in each process"
        )
    if arguments.num_images is not None and arguments.num_images < 1:
        raise UserError(f"--num-images must be 1 or more, not {arguments.num_images}")
    if arguments.splits and arguments.prompts:
        raise UserError("give either --split or --prompts")
    needs = needed(names)
    if REFERENCE in needs and arguments.reference is None:
        raise UserError(
            f"{_that_need(names, REFERENCE)} compares images with others: give --reference, an "
            ".npz, a folder of images or a split of the model's data set"
        )
    if CLIP in needs and arguments.clip is None:
        raise UserError(
            f"{_that_need(names, CLIP)} needs a noised CLIP: give --clip DIR, its workdir; "
            "glide-jax import --help says how to make one of published weights"
        )
    return names


def _that_need(names: Sequence[str], need: str) -> str:
    return next(name for name in names if need in METRICS[name].needs)


def check_for_files(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    """Raise UserError for what makes no sense without a model; JAX is not loaded."""
    if MODEL in needed(names):
        raise UserError(
            f"{_that_need(names, MODEL)} is a metric of a model, not of images: give --checkpoint"
        )
    if arguments.splits and not arguments.prompts:
        raise UserError("--split is of a model's data set: with --images, give --prompts FILE")


def load(arguments: argparse.Namespace) -> tuple["Experiment", "Pipeline"]:
    """The first checkpoint's experiment, and the pipeline of all; see `sampling_options.load`."""
    from glide_jax.commands.checkpoint_options import check_workdirs, read_experiments

    check_workdirs(arguments.clip)
    experiment = read_experiments(arguments.checkpoint, arguments.overrides)[0]
    joining.join_run(arguments)
    if arguments.prompts is not None:
        from glide_jax.evaluation.prompt_sets.reading import open_prompts

        open_prompts(arguments.prompts)  # a mistake in it is answered before the models load
    models = {"text_encoder": arguments.text_encoder, "adapters": arguments.adapters or ()}
    pipeline = sampling_options.load(arguments.checkpoint, arguments.overrides, **models)
    return experiment, pipeline


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The sampling settings that were given, by name."""
    fields = [field.name for field in dataclasses.fields(SamplingConfig)]
    given = {name: getattr(arguments, name, None) for name in fields}
    given |= {"steps": given["steps"] and str(given["steps"])}
    return {name: value for name, value in given.items() if value is not None}


def choice_of(arguments: argparse.Namespace) -> "Choice":
    """Which prompts, and how many images."""
    from glide_jax.evaluation.sets import Choice

    splits = tuple(arguments.splits) if arguments.splits else None
    return Choice(arguments.prompts, splits, arguments.captions, arguments.num_images)


def folder_of(arguments: argparse.Namespace) -> Path | None:
    """Where images, features and results are kept; None: nowhere."""
    if arguments.out is not None:
        return arguments.out
    return arguments.checkpoint[0] / FOLDER if arguments.checkpoint else None


def generator_of(
    arguments: argparse.Namespace, experiment: "Experiment", pipeline: "Pipeline"
) -> "Generator":
    """What generates the sets of images."""
    from glide_jax.evaluation.images.generated import Share
    from glide_jax.evaluation.sets import Generator

    folder = folder_of(arguments)
    assert folder is not None
    share = Share(arguments.process_id or 0, arguments.num_processes or 1)
    if arguments.coordinator:  # then every batch is sampled by all
        share = Share(0, 1)
    return Generator(pipeline, seed_of(arguments, experiment), folder, share)


def seed_of(arguments: argparse.Namespace, experiment: "Experiment | None") -> int:
    """--seed, or that of the config."""
    if arguments.seed is not None:
        return arguments.seed
    return experiment.seed if experiment else 0


def prompts_of_files(arguments: argparse.Namespace, images: "ImageSet") -> "PromptSet | None":
    """What images of files show: as --prompts says, or as their own provenance does; None: unknown.

    Raises:
        UserError: there are not as many prompts as images.
    """
    from glide_jax.evaluation.images.files import prompts_in
    from glide_jax.evaluation.prompt_sets.reading import open_prompts

    if arguments.prompts is None:
        return prompts_in(arguments.images)
    prompts = open_prompts(arguments.prompts)
    if len(prompts) != images.count:
        raise UserError(
            f"{arguments.images} has {images.count} images and {arguments.prompts} "
            f"{len(prompts)} prompts: give one for each image, in the order of their names"
        )
    return prompts


def check_prompts(names: Sequence[str], prompts: "PromptSet | None") -> None:
    """Raise UserError where a metric needs captions, or facts of them, that are not there."""
    needs = needed(names)
    if CAPTIONS in needs and (prompts is None or not prompts.has_captions):
        raise UserError(
            f"{_that_need(names, CAPTIONS)} needs captions of the images: a model that reads some, "
            "or for files --prompts FILE, a prompt for each; of any model: --metrics bits_per_dim"
        )
    if FACTS in needs and prompts is not None and not prompts.facts:
        raise UserError(
            f"{_that_need(names, FACTS)} needs captions that a scorer can check, of a split of the "
            "data set 'shapes'; other metrics of captions: clip_score, r_precision; of any model: "
            "--metrics bits_per_dim"
        )


def instruments_of(
    arguments: argparse.Namespace,
    names: Sequence[str],
    experiment: "Experiment | None",
    pipeline: "Pipeline | None",
) -> "Instruments":
    """What the metrics need, loaded once.

    Raises:
        UserError: weights or a reference are not there, or don't fit.
    """
    import jax

    from glide_jax.evaluation.evaluating import Instruments
    from glide_jax.evaluation.opening import open_features
    from glide_jax.parallel.mesh import make_mesh
    from glide_jax.sampling.loading import load_clip

    # On this process's devices: each scores its own images.
    here = make_mesh(1, jax.local_devices())
    clip = load_clip(arguments.clip, here) if CLIP in needed(names) else None
    features = open_features(
        names,
        net_of(arguments),
        arguments.reference,
        experiment,
        pipeline.stages[-1].image_size if pipeline else None,
        folder_of(arguments),
    )
    if features is not None and pipeline is not None:
        # Before the images are generated, which takes longer than all else.
        size = pipeline.stages[-1].image_size
        features.check(size, size)
    return Instruments(tuple(names), seed_of(arguments, experiment), features, clip)


def net_of(arguments: argparse.Namespace) -> "NetChoice":
    """Which feature net."""
    from glide_jax.evaluation.opening import NetChoice

    weights = None if arguments.net_weights is None else fetched(arguments.net_weights)
    return NetChoice(arguments.net, weights, arguments.resize)
