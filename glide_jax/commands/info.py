"""`glide-jax info`."""

import argparse

from glide_jax.commands.command import Run, given_path
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Describe a workdir or a file of weights: its models, sizes and steps."""
    parser.add_argument(
        "path", type=given_path, metavar="DIR|FILE", help="a workdir, or .pt or .safetensors"
    )

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax import runtime
        from glide_jax.interop.info import describe

        runtime.quiet_checkpoint_errors()

        for line in describe(arguments.path):
            print(line)

    return run
