"""The command `glide-jax`: checkpoints in and out, for people who have one or want one.

glide-jax download base
glide-jax import base.pt --as base --out runs/released
glide-jax export runs/mine --ema --format pt --out mine.pt
glide-jax info runs/mine
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from glide_jax.entry import Parser, status_of
from glide_jax.errors import UserError

Run = Callable[[argparse.Namespace], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit status.

    Args:
        argv: the command line's words after the program's name; sys.argv's where None.
    """
    return status_of(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> None:
    parser = Parser(
        prog="glide-jax",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for name, make in COMMANDS.items():
        command = commands.add_parser(
            name, help=make.__doc__, description=make.__doc__, allow_abbrev=False
        )
        command.set_defaults(run=make(command))
    arguments = parser.parse_args(argv)
    arguments.run(arguments)


# Each adds its words to a parser and returns what runs. What they need is imported there: a mistake
# on the command line is answered before JAX is loaded.


def _import(parser: Parser) -> Run:
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
            print(f"{out / name}: {stage.model.family}, {experiment.text.tokenizer}")

    return run


def _export(parser: Parser) -> Run:
    """Write weights under the public PyTorch names, with the reference's options beside them."""
    parser.add_argument("workdir", type=Path, metavar="DIR", help="of training or of import")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new file")
    parser.add_argument(
        "--format", choices=("pt", "safetensors"), help="as FILE's ending says where left out"
    )
    parser.add_argument(
        "--ema",
        action="store_true",
        help="the moving average of the weights, which sampling draws with; without it the "
        "weights themselves. An imported model that was not trained on has one set of weights",
    )
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--stage", default="base", metavar="STAGE", help="base or upsampler")

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax.interop import exporting, files

        format_ = files.format_of(arguments.out)
        if arguments.format not in (None, format_):
            raise UserError(f"--format={arguments.format} and --out={arguments.out} disagree")
        done = exporting.export_checkpoint(
            arguments.workdir,
            arguments.out,
            stage_name=arguments.stage,
            ema=arguments.ema,
            dtype=arguments.dtype,
        )
        for file in done.files:
            print(f"{file}: {done.weights} of step {done.step} in {arguments.dtype}")
        for line in done.unlike:
            print(f"not the reference's: {line}")

    return run


def _download(parser: Parser) -> Run:
    """Fetch public files into the cache folder, $GLIDE_JAX_CACHE or ~/.cache/glide_jax."""
    from glide_jax.interop import released

    parser.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help=", ".join([*released.FILES, *released.GROUPS]) + "; or an http address",
    )

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax.interop.download import download

        for name in arguments.names:
            wanted = [name] if "://" in name else [file.name for file in released.find(name)]
            for one in wanted:
                print(download(one))

    return run


def _info(parser: Parser) -> Run:
    """Say what a workdir or a file of weights is."""
    parser.add_argument("path", type=Path, metavar="DIR|FILE")

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax.interop.info import describe

        for line in describe(arguments.path):
            print(line)

    return run


COMMANDS: dict[str, Callable[[Parser], Run]] = {
    "download": _download,
    "import": _import,
    "export": _export,
    "info": _info,
}
"""Name → the function that adds its words and returns what runs; its docstring is its help."""

if __name__ == "__main__":
    sys.exit(main())
