"""`glide-jax export`."""

import argparse

from glide_jax.commands import sampling_options
from glide_jax.commands.command import Run, given_path
from glide_jax.commands.progress_options import add_progress
from glide_jax.entry import Parser
from glide_jax.errors import UserError
from glide_jax.storage import check_writable


def add(parser: Parser) -> Run:
    """Write weights under the reference's PyTorch names, with its options beside them."""
    parser.add_argument("workdir", type=given_path, metavar="DIR", help="of training or of import")
    parser.add_argument("--out", type=given_path, required=True, metavar="FILE", help="a new file")
    parser.add_argument("--format", choices=("pt", "safetensors"), help="default: by FILE's ending")
    parser.add_argument(
        "--ema",
        action="store_true",
        help="the moving average of the weights, which sampling uses; default: the weights "
        "themselves. An imported model that was not trained further has one set of weights",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        default="float32",
        help="default: float32",
    )
    parser.add_argument(
        "--names",
        choices=("original", "diffusers"),
        default="original",
        help="of the arrays: the reference's, OpenAI's or DeepFloyd IF's, or those of Diffusers' "
        "UNet2DConditionModel, for Imagen's models; default: original",
    )
    parser.add_argument("--stage", metavar="NAME", help="of this stage; default: the first")
    sampling_options.add_adapters(parser)
    add_progress(parser)

    def run(arguments: argparse.Namespace) -> None:
        from glide_jax import runtime
        from glide_jax.checkpoints.adapters import AdapterFile
        from glide_jax.interop import exporting, files

        runtime.quiet_checkpoint_errors()

        check_writable(arguments.out.parent)
        adapters = [AdapterFile.parse(text) for text in arguments.adapters or ()]
        format_ = files.format_of(arguments.out)
        if arguments.format not in (None, format_):
            raise UserError(f"--format={arguments.format} and --out={arguments.out} disagree")
        done = exporting.export_checkpoint(
            arguments.workdir,
            arguments.out,
            stage_name=arguments.stage,
            ema=arguments.ema,
            dtype=arguments.dtype,
            names=arguments.names,
            adapters=adapters,
        )
        for file in done.files:
            print(f"{file}: {done.weights} of step {done.step} in {arguments.dtype}")
        for line in done.unlike:
            print(f"not the reference's: {line}")

    return run
