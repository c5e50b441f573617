"""`glide-jax train`."""

import argparse
from pathlib import Path

from glide_jax.commands import joining
from glide_jax.commands.command import Run, accept_overrides, given_path
from glide_jax.commands.progress_options import add_preview, add_progress
from glide_jax.config import Experiment, experiment_from, load_config, to_dict
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.storage import check_writable


def add(parser: Parser) -> Run:
    """Train the stages of a config, or continue; then sample, score and report."""
    parser.add_argument(
        "--config", metavar="NAME|FILE", help="the experiment: quickstart, or a file's path"
    )
    parser.add_argument(
        "--workdir",
        type=given_path,
        metavar="DIR",
        help="for checkpoints, metrics and samples; the run in it is continued; also in a bucket, "
        "gs://BUCKET/PATH or s3://BUCKET/PATH; default: runs/NAME",
    )
    joining.add_coordinator(parser, "train")
    add_progress(parser)
    add_preview(parser)
    accept_overrides(parser, "stages.base.training.batch_size=64")
    return _run


def _run(arguments: argparse.Namespace) -> None:
    if not arguments.config:
        raise UserError("give --config=NAME or --config=FILE, such as --config=quickstart")
    joining.require_coordinator(arguments)
    experiment = experiment_from(load_config(arguments.config, arguments.overrides))
    workdir = arguments.workdir or Path("runs") / Path(arguments.config).stem
    check_writable(workdir)
    # JAX loads only now, after the mistakes that can be found without it.
    from glide_jax import runtime
    from glide_jax.registries import check_names

    check_names(experiment)
    runtime.configure(experiment.cpu_devices)
    joining.join_run(arguments, to_dict(experiment))
    train(experiment, workdir)


def train(experiment: Experiment, workdir: Path) -> None:
    """Train every stage in order, sample the prompts, score the samples, write the report.

    Args:
        experiment: what to train.
        workdir: where; a run that is there is continued.

    Raises:
        UserError: something in the experiment is impossible here, or another run is in the workdir.
        Interrupted: stopped early; everything is saved.
    """
    from glide_jax.commands.training_run import run

    run(experiment, workdir)
