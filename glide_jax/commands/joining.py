"""What the commands share that run in several processes: their arguments, and how these meet."""

import argparse
from collections.abc import Mapping
from typing import Any

from glide_jax.commands.progress_options import NAMES
from glide_jax.entry import Parser
from glide_jax.errors import UserError

_OWN = ("process_id", "num_processes", "coordinator", "workdir", "out", *NAMES)
"""Arguments that may differ from process to process; paths are where a host has mounted them."""


def add_coordinator(parser: Parser, does: str) -> None:
    """Add --coordinator, --num-processes and --process-id.

    Args:
        parser: of the command.
        does: what it does, for the help: `train`.
    """
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help=f"{does} in several processes, which meet at the first one's address; auto: Slurm, a "
        "TPU pod, GKE, Open MPI, or MASTER_ADDR, WORLD_SIZE and RANK know it",
    )
    parser.add_argument(
        "--num-processes", type=int, metavar="N", help="how many processes; not with auto"
    )
    parser.add_argument(
        "--process-id", type=int, metavar="I", help="this process's number from 0; not with auto"
    )


def require_coordinator(arguments: argparse.Namespace) -> None:
    """Raise UserError where processes are numbered, and nothing says where they meet."""
    numbers = arguments.num_processes, arguments.process_id
    if not arguments.coordinator and numbers != (None, None):
        raise UserError("--num-processes and --process-id need --coordinator=HOST:PORT")


def join_run(arguments: argparse.Namespace, config: Mapping[str, Any] | None = None) -> None:
    """Join the other processes, if --coordinator was given. JAX must not have started.

    Args:
        arguments: of `add_coordinator` and of the command.
        config: what all processes must agree on; None: the arguments.

    Raises:
        UserError: see `parallel.processes.join`.
    """
    if not arguments.coordinator:
        return
    from glide_jax.parallel.processes import join

    if config is None:
        config = {name: v for name, v in vars(arguments).items() if name not in _OWN}
    place = arguments.num_processes, arguments.process_id
    join(arguments.coordinator, *place, config)
