"""The entry: a config in, a trained model, its pictures and its figures out.

python -m glide_jax.main --config=configs/quickstart.py --workdir=runs/quickstart
python -m glide_jax.main --mode=sample --workdir=runs/quickstart --prompt="a red circle"
python -m glide_jax.main --mode=evaluate --workdir=runs/quickstart
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from glide_jax import config
from glide_jax.entry import Parser, status_of
from glide_jax.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one mode; the result is the exit status.

    Args:
        argv: the command line's words after the program's name; sys.argv's where None.
    """
    return status_of(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> None:
    words, overrides = config.split_overrides(argv)
    arguments = _parser().parse_args(words)
    # Only now: a mistake on the command line is answered before JAX is loaded.
    from glide_jax import modes
    from glide_jax.compile_cache import keep_compiled
    from glide_jax.parallel.mesh import divide_cpu

    _show_notes()
    keep_compiled()
    if arguments.mode == "train":
        if not arguments.config:
            raise UserError("--mode=train needs --config=FILE, such as configs/quickstart.py")
        experiment = config.experiment_from(config.load_config(arguments.config, overrides))
        divide_cpu(experiment.cpu_devices)
        _join(arguments)
        default = Path("runs") / Path(arguments.config).stem
        modes.train(experiment, Path(arguments.workdir or default))
        return
    if arguments.config:
        raise UserError(
            f"--mode={arguments.mode} takes its config from the checkpoint in --workdir; "
            "leave --config out, and change keys with --config.KEY=VALUE"
        )
    if arguments.coordinator:
        raise UserError(f"--mode={arguments.mode} is of one process; leave --coordinator out")
    if not arguments.workdir:
        raise UserError(f"--mode={arguments.mode} needs --workdir=DIR, the one that was trained in")
    workdir = Path(arguments.workdir)
    if arguments.mode == "sample":
        modes.sample(workdir, overrides, arguments.prompt, arguments.seed)
    else:
        modes.evaluate(workdir, overrides)


def _join(arguments: argparse.Namespace) -> None:
    """Be one process of several, where the command line says so."""
    from glide_jax.parallel.processes import join

    words = arguments.coordinator, arguments.num_processes, arguments.process_id
    if arguments.coordinator:
        join(*words)
    elif words != (None, None, None):
        raise UserError("--num_processes and --process_id need --coordinator=HOST:PORT")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m glide_jax.main",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="--config.KEY=VALUE changes one key, such as --config.training.batch_size=64",
    )
    parser.add_argument("--config", metavar="FILE", help="the experiment to train")
    parser.add_argument(
        "--workdir", metavar="DIR", help="where it all lies; to train, by default runs/CONFIG"
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="train in several processes, that find each other at the first of them; auto: as "
        "Slurm, a TPU pod, GKE or Open MPI says",
    )
    parser.add_argument("--num_processes", type=int, metavar="N", help="how many; not with auto")
    parser.add_argument("--process_id", type=int, metavar="I", help="which, from 0; likewise")
    parser.add_argument("--mode", choices=("train", "sample", "evaluate"), default="train")
    parser.add_argument(
        "--prompt", action="append", metavar="TEXT", help="what to draw; may be given again"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other pictures")
    return parser


def _show_notes() -> None:
    """Print what our own modules have to say, as they say it."""
    ours = logging.getLogger("glide_jax")
    ours.setLevel(logging.INFO)
    ours.propagate = False
    ours.addHandler(logging.StreamHandler(sys.stdout))


if __name__ == "__main__":
    sys.exit(main())
