"""`glide-jax upsample`."""

import argparse

from glide_jax.commands import sampling_options
from glide_jax.commands.command import Run, given_path
from glide_jax.entry import Parser
from glide_jax.storage import check_writable


def add(parser: Parser) -> Run:
    """Enlarge an image with the upsamplers of a workdir."""
    parser.add_argument("image", type=given_path, metavar="IMAGE", help="an image file")
    sampling_options.add_prompts(parser)
    sampling_options.add_models_and_output(parser)
    sampling_options.add_settings(parser)
    return _run


def _run(arguments: argparse.Namespace) -> None:
    keywords = sampling_options.keywords_of(arguments)
    prompts = sampling_options.prompts_of(arguments) or [""]
    check_writable(arguments.out)
    pipeline = sampling_options.load_for(arguments, prompts)
    with sampling_options.in_flags(), sampling_options.show_progress(arguments) as on_progress:
        output = pipeline.upsample(arguments.image, prompts, on_progress=on_progress, **keywords)
    sampling_options.show_saved(output, arguments.out)
