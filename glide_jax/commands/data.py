"""`glide-jax data check`."""

import argparse
from pathlib import Path

from glide_jax.commands.command import Run, given_path
from glide_jax.commands.progress_options import add_progress
from glide_jax.entry import Parser
from glide_jax.storage import check_writable

_SHOWN = 32
_SIDE = 160


def add(parser: Parser) -> Run:
    """Check a data set: count, read some images, report problems, write a contact sheet."""
    parser.add_argument("action", choices=("check",), help="what to do with the data set")
    parser.add_argument(
        "source", metavar="SOURCE", help="the value of data.source, such as folder or shapes/64"
    )
    parser.add_argument("--path", default="", metavar="PATH", help="the value of data.path")
    parser.add_argument(
        "--split", default="train", metavar="NAME", help="part of the data set; default: train"
    )
    parser.add_argument(
        "--sample", type=int, default=1000, metavar="N", help="images to read; default: 1000"
    )
    parser.add_argument(
        "--out",
        type=given_path,
        default=Path("contact_sheet.png"),
        metavar="FILE",
        help="the contact sheet; default: contact_sheet.png",
    )
    add_progress(parser)
    return _check


def _check(arguments: argparse.Namespace) -> None:
    from glide_jax import data, runtime
    from glide_jax.data import images
    from glide_jax.data.survey import survey
    from glide_jax.errors import UserError
    from glide_jax.sampling.grid import grid, save_image

    if arguments.sample < 1:
        raise UserError(f"--sample={arguments.sample} must be 1 or more")
    check_writable(arguments.out.parent)
    runtime.show_notes()
    source = data.open_prepared(arguments.source, arguments.path, arguments.split)
    found = survey(source, sample=arguments.sample, show=_SHOWN)
    print(f"{arguments.split}: " + "\n".join(found.lines()))
    if not found.shown:
        raise UserError("none of the sampled images can be read; see the lines above")
    samples, captions = zip(*found.shown, strict=True)
    save_image(grid([images.square(p, _SIDE) for p in samples], captions), arguments.out)
    print(f"{len(captions)} of them, as training crops them: {arguments.out}")
