"""`glide-jax edit`."""

import argparse
from pathlib import Path

from glide_jax.commands import drawing
from glide_jax.commands.command import Run
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Draw a prompt from a picture with noise on it, not from noise alone."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture file")
    parser.add_argument(
        "--strength",
        type=float,
        required=True,
        metavar="X",
        help="above 0, at most 1: little keeps the picture, 1 next to nothing of it",
    )
    drawing.add_prompts(parser)
    drawing.add_output(parser)
    drawing.add_settings(parser)
    drawing.add_words_of_captions(parser)

    def run(arguments: argparse.Namespace) -> None:
        told, prompts = drawing.common(arguments), drawing.prompts_of(arguments)
        pipeline = drawing.load(arguments.checkpoint, arguments.clip)
        drawing.say_cut(pipeline, prompts)
        with drawing.watch(arguments) as watch:
            drawn = pipeline.image_to_image(
                arguments.image, prompts, strength=arguments.strength, on_step=watch, **told
            )
        drawing.save(drawn, arguments.out)

    return run
