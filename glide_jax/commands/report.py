"""`glide-jax report`."""

import argparse
from pathlib import Path

from glide_jax.commands.command import Run
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Draw a workdir's report.png: curves, speed, pictures, scores; of a run in its midst too."""
    parser.add_argument("workdir", type=Path, metavar="DIR")

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax.evaluation.report import FILE, write_report

        write_report(arguments.workdir)
        print(arguments.workdir / FILE)

    return run
