"""`glide-jax info`."""

import argparse
from pathlib import Path

from glide_jax.commands.command import Run
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Say what a workdir or a file of weights is."""
    parser.add_argument("path", type=Path, metavar="DIR|FILE")

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax.interop.info import describe

        for line in describe(arguments.path):
            print(line)

    return run
