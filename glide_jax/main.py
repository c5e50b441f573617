"""The entry of runs: `glide-jax train`, and two modes that are `glide-jax sample` and `evaluate`.

python -m glide_jax.main --config=configs/quickstart.py --workdir=runs/quickstart
python -m glide_jax.main --mode=sample --workdir=runs/quickstart --prompt="a red circle"
python -m glide_jax.main --mode=evaluate --workdir=runs/quickstart
"""

import argparse
import sys
from collections.abc import Sequence

from glide_jax.commands import evaluate, sample, train
from glide_jax.commands.progress_options import progress_of
from glide_jax.config import split_overrides
from glide_jax.entry import Parser, status_of
from glide_jax.errors import UserError
from glide_jax.huge_pages import restart_with_huge_pages


def main(argv: Sequence[str] | None = None) -> int:
    """Run one mode; the result is the exit status.

    Args:
        argv: the command line's words after the program's name; None: those of sys.argv.
    """
    if argv is None:
        restart_with_huge_pages()
    return status_of(lambda: _run(sys.argv[1:] if argv is None else argv))


def build_parser() -> Parser:
    """The parser of `glide-jax train`, and the flags of the other modes."""
    parser = Parser(
        prog="python -m glide_jax.main",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=train.add(parser))
    modes = parser.add_argument_group("other modes")
    modes.add_argument(
        "--mode",
        choices=("train", "sample", "evaluate"),
        default="train",
        help="sample: write images to the workdir; evaluate: score its samples; default: train",
    )
    modes.add_argument(
        "--prompt",
        action="append",
        default=[],
        metavar="TEXT",
        help="sample: a caption; may be repeated; default: the config's prompts",
    )
    modes.add_argument("--seed", type=int, metavar="N", help="sample: random seed; default: 0")
    return parser


def _run(argv: Sequence[str]) -> None:
    words, overrides = split_overrides(argv)
    arguments = build_parser().parse(words, overrides)
    with progress_of(arguments):
        _run_mode(arguments, overrides)


def _run_mode(arguments: argparse.Namespace, overrides: Sequence[str]) -> None:
    mode = arguments.mode
    if mode != "sample" and (arguments.prompt or arguments.seed is not None):
        raise UserError("--prompt and --seed are for --mode=sample; train with --config.seed=N")
    if mode == "train":
        arguments.run(arguments)
        return
    if arguments.config:
        raise UserError(
            f"--mode={mode} takes its config from the checkpoint in --workdir; "
            "leave --config out, and change keys with --config.KEY=VALUE"
        )
    if arguments.coordinator:
        raise UserError(f"--mode={mode} runs in one process; leave --coordinator out")
    if arguments.workdir is None:
        raise UserError(f"--mode={mode} needs --workdir=DIR, the one that was trained in")
    if mode == "sample":
        sample.sample(arguments.workdir, overrides, arguments.prompt, arguments.seed or 0)
    else:
        evaluate.evaluate(arguments.workdir, overrides)


if __name__ == "__main__":
    sys.exit(main())
