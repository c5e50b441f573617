"""What a command is: arguments added to a parser, and a function that runs with them."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from glide_jax.commands.progress_options import progress_of
from glide_jax.entry import Parser
from glide_jax.storage import storage_path

Run = Callable[[argparse.Namespace], None]

Add = Callable[[Parser], Run]
"""Adds a command's arguments to its parser and returns what runs; its docstring is the help. JAX
and what stands on it are imported inside what runs: a mistake on the command line is answered
before JAX loads."""


def given_path(text: str) -> Path:
    """The path of an argument, see `storage_path`; raises for one that is empty.

    pathlib would take that for this folder, and a shell makes it of a variable that is not set.
    """
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; is a variable not set?")
    return storage_path(text)


def accept_overrides(parser: Parser, example: str) -> None:
    """Let the command take `--config.KEY=VALUE`; they come as `arguments.overrides`.

    Args:
        parser: of the command.
        example: `KEY=VALUE` for the help.
    """
    parser.set_defaults(overrides=())
    parser.epilog = f"--config.KEY=VALUE changes one key of the config: --config.{example}"


def run_command(name: str, add: Add, words: Sequence[str], overrides: Sequence[str] = ()) -> None:
    """Parse a command's words and run it.

    Args:
        name: of the program and the command, for the help.
        add: the command.
        words: what follows its name on the command line, without `--config.KEY=VALUE`.
        overrides: `KEY=VALUE` each.

    Raises:
        UserError: a mistake on the command line, or whatever the command raises.
    """
    parser = Parser(prog=name, description=add.__doc__, allow_abbrev=False)
    run = add(parser)
    arguments = parser.parse(words, overrides)
    with progress_of(arguments):
        run(arguments)
