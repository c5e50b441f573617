"""`glide-jax import`."""

import argparse

from glide_jax.commands.command import Run, given_path
from glide_jax.commands.progress_options import add_progress
from glide_jax.config import DTYPES
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.storage import check_writable, fetched


def add(parser: Parser) -> Run:
    """Make a workdir of released or exported weights, to sample from or to train further."""
    from glide_jax.interop import released

    parser.add_argument(
        "files",
        nargs="*",
        type=given_path,
        metavar="FILE",
        help="a file of weights, such as .pt, .ckpt or .safetensors, or a folder with one or with "
        "shards, on a disk or in a bucket; clip has two, in any order; default: what `download` "
        "fetches. DeepFloyd IF's (if-…) are files that you have, under its names or Diffusers'; "
        "their licence is non-commercial",
    )
    parser.add_argument(
        "--as",
        action="append",
        default=[],
        dest="names",
        metavar="NAME",
        help="which released model FILE is; repeat it to import an upsampler with its base model; "
        "default: FILE was written by `export`, with FILE.options.json beside it. NAME: "
        + ", ".join(released.models()),
    )
    parser.add_argument(
        "--options",
        action="append",
        default=[],
        type=given_path,
        metavar="JSON",
        help="of weights in another size than the released ones: a file of options by the "
        "reference's names, such as image_size; the shapes say most of them. One for each FILE. "
        "Default: FILE.options.json where it is beside FILE",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default=DTYPES[0],
        help="what the weights are stored in. In bfloat16 they take half the disk and memory, and "
        "the model computes in it; default: float32",
    )
    parser.add_argument(
        "--out", type=given_path, required=True, metavar="DIR", help="a new workdir"
    )
    add_progress(parser)

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax import runtime
        from glide_jax.interop.download import download
        from glide_jax.interop.importing import import_checkpoint
        from glide_jax.interop.sidecar import fetched_weights

        runtime.quiet_checkpoint_errors()
        files, names, out = arguments.files, arguments.names, arguments.out
        check_writable(out.parent)
        if not files and arguments.options:
            raise UserError("give the FILE that --options describe")
        if not files and not names:
            raise UserError("give a FILE, or the name of a released model: --as=base")
        if not files:
            public = [file for name in names for file in released.model_files(name)]
            if held := [file.name for file in public if not file.url]:
                raise UserError(
                    f"{held[0]} can't be downloaded here, as its licence has to be agreed to "
                    "first: give the FILE that you have of it"
                )
            files = [download(file.name) for file in public]
        files = [fetched_weights(file) for file in files]
        options = [fetched(file) for file in arguments.options]
        experiment = import_checkpoint(files, names, out, options, arguments.dtype)
        for name, stage in experiment.stages.items():
            print(f"{out / name}: {stage.model.family}; `glide-jax info {out}` says more")

    return run
