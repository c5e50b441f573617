"""`glide-jax report`."""

import argparse

from glide_jax.commands.command import Run, given_path
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Plot a run as report.png in its workdir: curves, speed, samples, scores; at any time."""
    parser.add_argument(
        "workdir", type=given_path, metavar="DIR", help="of training, finished or not"
    )

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax.evaluation.report import FILE, write_report

        write_report(arguments.workdir)
        print(arguments.workdir / FILE)

    return run
