"""`glide-jax inpaint`."""

import argparse

from glide_jax.commands import sampling_options
from glide_jax.commands.command import Run, given_path
from glide_jax.entry import Parser
from glide_jax.storage import check_writable


def add(parser: Parser) -> Run:
    """Repaint a part of an image as a prompt says."""
    parser.add_argument("image", type=given_path, metavar="IMAGE", help="an image file")
    parser.add_argument(
        "mask",
        type=given_path,
        metavar="MASK",
        help="an image of its shape; white: repaint, black: keep",
    )
    sampling_options.add_prompts(parser)
    sampling_options.add_models_and_output(parser)
    sampling_options.add_caption_options(parser)
    sampling_options.add_settings(parser, inpaints=True)
    return _run


def _run(arguments: argparse.Namespace) -> None:
    sampling_options.check_guides(arguments)
    keywords = sampling_options.keywords_of(arguments)
    prompts = sampling_options.required_prompts_of(arguments)
    check_writable(arguments.out)
    pipeline = sampling_options.load_for(arguments, prompts)
    with sampling_options.in_flags(), sampling_options.show_progress(arguments) as on_progress:
        output = pipeline.inpaint(
            arguments.image, arguments.mask, prompts, on_progress=on_progress, **keywords
        )
    sampling_options.show_saved(output, arguments.out)
