"""What the commands share that show how far they are: `--progress` and `--preview`."""

import argparse
import contextlib
from collections.abc import Iterator

from glide_jax.entry import Parser
from glide_jax.progress import MODES, PREVIEWS, Choice, current_choice, progress_choice

NAMES = ("progress", "preview")
"""The arguments that are added here; they change nothing of what a command computes."""


def add_progress(parser: Parser) -> None:
    """Add --progress."""
    parser.add_argument(
        "--progress",
        choices=MODES,
        help="how it is shown how far the command is: rich, a bar for each task; plain, a line of "
        "text each time; json, a JSON object a line; quiet, nothing; default: auto, which is rich "
        "on a terminal and plain elsewhere",
    )


def add_preview(parser: Parser) -> None:
    """Add --preview: of commands that sample."""
    parser.add_argument(
        "--preview",
        choices=PREVIEWS,
        help="how a terminal shows the images so far: by kitty's or iTerm2's protocol, in blocks "
        "of colour, or not at all (none); default: auto, by what the terminal can do",
    )


@contextlib.contextmanager
def progress_of(arguments: argparse.Namespace) -> Iterator[None]:
    """Show progress as the arguments say, or, where they don't, as was chosen around it."""
    before = current_choice()
    mode = getattr(arguments, "progress", None) or (before.mode if before else "auto")
    default = (before.preview if before else "auto") if "preview" in arguments else "none"
    preview = getattr(arguments, "preview", None) or default
    with progress_choice(Choice(mode, preview)):
        yield
