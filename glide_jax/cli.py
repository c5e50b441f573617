"""The command `glide-jax`: draw with a checkpoint, edit pictures, take checkpoints in and out.

glide-jax sample "a red circle above a blue square" --checkpoint runs/quickstart
glide-jax inpaint photo.png mask.png "a hat" --checkpoint runs/inpaint
glide-jax edit sketch.png "a red house" --strength 0.6 --checkpoint runs/quickstart
glide-jax upsample small.png --checkpoint runs/quickstart
glide-jax download base
glide-jax import base.pt --as base --out runs/released
glide-jax export runs/mine --ema --format pt --out mine.pt
glide-jax info runs/mine
glide-jax report runs/mine
glide-jax data check folder --path pictures
glide-jax plan --config=configs/base.py --topology=v5e-16
"""

import argparse
import sys
from collections.abc import Sequence

from glide_jax.commands import COMMANDS
from glide_jax.config import OVERRIDE, split_overrides
from glide_jax.entry import Parser, status_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit status.

    Args:
        argv: the command line's words after the program's name; sys.argv's where None.
    """
    return status_of(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> None:
    parser = Parser(
        prog="glide-jax",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for name, add in COMMANDS.items():
        command = commands.add_parser(
            name, help=add.__doc__, description=add.__doc__, allow_abbrev=False
        )
        command.set_defaults(run=add(command))
    words, overrides = split_overrides(argv)
    arguments, rest = parser.parse_known_args(words)
    if overrides and "config" not in arguments:
        parser.error(f"unrecognized arguments: {OVERRIDE}{overrides[0]}")
    arguments.overrides = overrides
    # argparse takes prompts where they stand together; people write options between them.
    if rest and ("prompts" not in arguments or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.prompts = [*arguments.prompts, *rest]
    arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
