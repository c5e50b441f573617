"""`glide-jax download`."""

import argparse

from glide_jax.commands.command import Run
from glide_jax.commands.progress_options import add_progress
from glide_jax.entry import Parser


def add(parser: Parser) -> Run:
    """Download released weights into the cache folder, $GLIDE_JAX_CACHE or ~/.cache/glide_jax."""
    from glide_jax.interop import released

    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help=", ".join([*released.FILES, *released.GROUPS]) + "; or an https:// address",
    )
    add_progress(parser)

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax.interop.download import download

        for name in arguments.names:
            wanted = [name] if "://" in name else [file.name for file in released.find(name)]
            for one in wanted:
                print(download(one))

    return run
