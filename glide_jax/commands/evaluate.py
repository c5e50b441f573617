"""`glide-jax evaluate`."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from glide_jax.commands.checkpoint_options import read_experiments
from glide_jax.commands.command import Run, accept_overrides
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Sample captions of the data set and score how many images show what their caption says."""
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="a workdir of training; the scores are written to its summary.json",
    )
    accept_overrides(parser, "evaluation.num_captions=100")
    return _run


def _run(arguments: argparse.Namespace) -> None:
    evaluate(arguments.checkpoint, arguments.overrides)


def evaluate(workdir: Path | None, overrides: Sequence[str] = ()) -> None:
    """Print the scores of a workdir's samples and write them to its summary.json.

    Args:
        workdir: of training; None: it was not given.
        overrides: changes of the checkpoint's config, `KEY=VALUE` each.

    Raises:
        UserError: there is no model, an override is wrong, or the data set has no scorer.
    """
    start = time.perf_counter()
    read_experiments(workdir and [workdir], overrides)
    assert workdir is not None
    from glide_jax.evaluation import prompt_truth
    from glide_jax.evaluation.summary import update_summary
    from glide_jax.sampling.output import Origin
    from glide_jax.sampling.pipeline import Pipeline
    from glide_jax.sampling.stages import load_stages

    experiment, stages = load_stages(workdir, overrides)
    pipeline = Pipeline(tuple(stages), origin=Origin.of([workdir], overrides))
    scores = prompt_truth.evaluate(pipeline, experiment, print)
    took = {"seconds": round(time.perf_counter() - start, 1)}
    update_summary(workdir, {"scores": scores, "evaluate": took})
