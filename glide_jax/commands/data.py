"""`glide-jax data check`."""

import argparse
from pathlib import Path

from glide_jax.commands.command import Run
from glide_jax.entry import Parser

_SHOWN = 32
_SIDE = 160


def add(parser: Parser) -> Run:
    """Say what a data set holds, and show some of it."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    check = commands.add_parser(
        "check", help="count, read a sample, and draw a contact sheet", allow_abbrev=False
    )
    check.add_argument("source", metavar="SOURCE", help="as data.source, such as folder")
    check.add_argument("--path", default="", metavar="PATH", help="as data.path")
    check.add_argument("--split", default="train")
    check.add_argument(
        "--sample", type=int, default=1000, metavar="N", help="pictures to read; 1000 by default"
    )
    check.add_argument(
        "--out", type=Path, default=Path("contact_sheet.png"), metavar="FILE", help="the sheet"
    )

    return _check


def _check(arguments: argparse.Namespace) -> None:
    import logging

    from glide_jax import data
    from glide_jax.data import images
    from glide_jax.data.survey import survey
    from glide_jax.errors import UserError
    from glide_jax.pipelines.grid import grid, save_picture

    if arguments.sample < 1:
        raise UserError(f"--sample={arguments.sample} must be 1 or more")
    logging.basicConfig(format="%(message)s")
    data.prepare(arguments.source, arguments.path)
    source = data.open_source(arguments.source, arguments.path, arguments.split)
    found = survey(source, sample=arguments.sample, show=_SHOWN)
    print("\n".join(found.lines()))
    if not found.shown:
        raise UserError("none of the pictures that were looked at can be read")
    pictures, captions = zip(*found.shown, strict=True)
    save_picture(grid([images.square(p, _SIDE) for p in pictures], captions), arguments.out)
    print(f"{len(captions)} of them, as training crops them: {arguments.out}")
