"""`glide-jax edit`."""

import argparse

from glide_jax.commands import sampling_options
from glide_jax.commands.command import Run, given_path
from glide_jax.entry import Parser
from glide_jax.storage import check_writable


def add(parser: Parser) -> Run:
    """Change an image towards a prompt: noise is added to it, and sampling starts from there."""
    parser.add_argument("image", type=given_path, metavar="IMAGE", help="an image file")
    sampling_options.add_prompts(parser)
    parser.add_argument(
        "--strength",
        type=float,
        required=True,
        metavar="X",
        help="share of the steps that are taken, above 0 and at most 1: the more, the less of the "
        "image is kept",
    )
    sampling_options.add_models_and_output(parser)
    sampling_options.add_caption_options(parser)
    sampling_options.add_settings(parser)
    return _run


def _run(arguments: argparse.Namespace) -> None:
    sampling_options.check_guides(arguments)
    keywords = sampling_options.keywords_of(arguments) | {"strength": arguments.strength}
    prompts = sampling_options.required_prompts_of(arguments)
    check_writable(arguments.out)
    pipeline = sampling_options.load_for(arguments, prompts)
    with sampling_options.in_flags(), sampling_options.show_progress(arguments) as on_progress:
        output = pipeline.image_to_image(
            arguments.image, prompts, on_progress=on_progress, **keywords
        )
    sampling_options.show_saved(output, arguments.out)
