"""`glide-jax upsample`."""

import argparse
from pathlib import Path

from glide_jax.commands import drawing
from glide_jax.commands.command import Run
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Enlarge a picture with the upsamplers of a workdir."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="a picture file")
    drawing.add_prompts(parser)
    drawing.add_output(parser)
    drawing.add_settings(parser)

    def run(arguments: argparse.Namespace) -> None:
        told = drawing.common(arguments)
        prompts = [""]
        if arguments.prompts or arguments.prompts_file:
            prompts = drawing.prompts_of(arguments)
        pipeline = drawing.load(arguments.checkpoint)
        drawing.say_cut(pipeline, prompts)
        with drawing.watch(arguments) as watch:
            drawn = pipeline.upsample(arguments.image, prompts, on_step=watch, **told)
        drawing.save(drawn, arguments.out)

    return run
