"""`glide-jax evaluate`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from glide_jax.commands.checkpoint_options import read_experiments
from glide_jax.commands.command import Run, accept_overrides
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.evaluation.registry import FIGURES, check_figures, find_figure
from glide_jax.local_path import local_path

DEFAULT = "prompt_truth"
"""The figure that is computed where none is named."""


def add(parser: Parser) -> Run:
    """Compute figures of a model on its data set: prompt_truth, samples a caption of the data set
    and scores how many images show what it says; bits_per_dim, of held-out images."""
    parser.add_argument(
        "--checkpoint",
        type=local_path,
        metavar="DIR",
        help="a workdir of training or of import; the figures are written to its summary.json",
    )
    parser.add_argument(
        "--figure",
        action="append",
        dest="figures",
        metavar="NAME",
        help=f"{' or '.join(FIGURES)}; may be repeated; default: prompt_truth",
    )
    parser.add_argument(
        "--split",
        action="append",
        dest="splits",
        metavar="NAME",
        help="a part of the data set; may be repeated; default: the config's evaluation.splits, or "
        "test",
    )
    parser.add_argument(
        "--num-images",
        type=int,
        metavar="N",
        help="of each split; default: the config's evaluation.num_captions, of bits_per_dim 64",
    )
    accept_overrides(parser, "evaluation.num_captions=100")
    return _run


def _run(arguments: argparse.Namespace) -> None:
    if arguments.num_images is not None and arguments.num_images < 1:
        raise UserError(f"--num-images must be 1 or more, not {arguments.num_images}")
    evaluate(
        arguments.checkpoint,
        arguments.overrides,
        figures=arguments.figures or (DEFAULT,),
        splits=tuple(arguments.splits) if arguments.splits else None,
        num_images=arguments.num_images,
    )


def evaluate(
    workdir: Path | None,
    overrides: Sequence[str] = (),
    *,
    figures: Sequence[str] = (DEFAULT,),
    splits: tuple[str, ...] | None = None,
    num_images: int | None = None,
) -> None:
    """Print figures of a workdir's models and write them to its summary.json.

    Args:
        workdir: of training or of import; None: it was not given.
        overrides: changes of the checkpoint's config, `KEY=VALUE` each.
        figures: names in FIGURES.
        splits: of the data set; None: the config's.
        num_images: of each split; None: the config's, or the figure's own number.

    Raises:
        UserError: there is no model, a name or an override is wrong, or a figure can't be had.
    """
    start = time.perf_counter()
    check_figures(figures)
    read_experiments(workdir and [workdir], overrides)
    assert workdir is not None
    from glide_jax.commands.sampling_progress import ProgressLine
    from glide_jax.evaluation.figure import Evaluation
    from glide_jax.evaluation.summary import update_summary
    from glide_jax.sampling.output import Origin
    from glide_jax.sampling.pipeline import Pipeline
    from glide_jax.sampling.stages import load_stages

    experiment, stages = load_stages(workdir, overrides)
    pipeline = Pipeline(tuple(stages), origin=Origin.of([workdir], overrides))
    found = {}
    for name in figures:
        with ProgressLine(sys.stderr, None) as on_progress:

            def log(line: str, progress: ProgressLine = on_progress) -> None:
                progress.end()
                print(line, flush=True)

            evaluation = Evaluation(pipeline, experiment, splits, num_images, log, on_progress)
            found |= find_figure(name)(evaluation)
    took = {"seconds": round(time.perf_counter() - start, 1)}
    update_summary(workdir, found | {"evaluate": took})
