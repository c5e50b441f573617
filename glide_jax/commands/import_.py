"""`glide-jax import`."""

import argparse
from pathlib import Path

from glide_jax.commands.command import Run
from glide_jax.entry import Parser
from glide_jax.errors import UserError


def add(parser: Parser) -> Run:
    """Make a workdir of released or exported weights, to draw with or to train on."""
    from glide_jax.interop import released

    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help=".pt or .safetensors; for clip two, in any order; none: what `download` fetches",
    )
    parser.add_argument(
        "--as",
        action="append",
        default=[],
        dest="names",
        metavar="NAME",
        help="which released model FILE is; again for an upsampler to the base model before it; "
        "without it FILE is one that `export` wrote, with FILE.options.json beside it. NAME: "
        + ", ".join(released.models()),
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new workdir")

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax.interop.download import download
        from glide_jax.interop.importing import import_checkpoint

        files, names, out = arguments.files, arguments.names, arguments.out
        if not files and not names:
            raise UserError("give a FILE, or say which released model: --as=base")
        if not files:
            public = [file for name in names for file in released.model_files(name)]
            files = [download(file.name) for file in public]
        experiment = import_checkpoint(files, names, out)
        for name, stage in experiment.stages.items():
            print(f"{out / name}: {stage.model.family}; `glide-jax info {out}` says more")

    return run
