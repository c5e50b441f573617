"""`glide-jax inpaint`."""

import argparse
from pathlib import Path

from glide_jax.commands import drawing
from glide_jax.commands.command import Run
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Draw a part of a picture anew."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture file")
    parser.add_argument(
        "mask", type=Path, metavar="MASK", help="of its shape; white: draw anew, black: keep"
    )
    drawing.add_prompts(parser)
    drawing.add_output(parser)
    drawing.add_settings(parser)
    drawing.add_words_of_captions(parser)
    parser.add_argument(
        "--resamples",
        type=int,
        metavar="N",
        help="with a model that was not trained to inpaint: how often each step is done",
    )

    def run(arguments: argparse.Namespace) -> None:
        told, prompts = drawing.common(arguments), drawing.prompts_of(arguments)
        pipeline = drawing.load(arguments.checkpoint, arguments.clip)
        drawing.say_cut(pipeline, prompts)
        with drawing.watch(arguments) as watch:
            drawn = pipeline.inpaint(
                arguments.image, arguments.mask, prompts, on_step=watch, **told
            )
        drawing.save(drawn, arguments.out)

    return run
