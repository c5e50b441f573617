"""Runs of several processes: how they find each other, and what only the first one does."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import jax

from glide_jax.errors import UserError

AUTO = "auto"
"""Instead of a coordinator's address: ask Slurm, the TPU pod, GKE or Open MPI."""

_P = ParamSpec("_P")


def join(coordinator: str, num_processes: int | None, process_id: int | None) -> None:
    """Join a run of several processes. Each process calls it before JAX starts.

    From then on JAX sees the devices of all processes and handles SIGTERM, and only the first
    process prints to stdout; stderr is unchanged.

    Args:
        coordinator: `HOST:PORT` of the first process, or AUTO.
        num_processes: of the run; None with AUTO.
        process_id: of this process, from 0; None with AUTO.

    Raises:
        UserError: the arguments contradict each other, AUTO finds no cluster, or the other
            processes don't connect.
    """
    if coordinator == AUTO and (num_processes is not None or process_id is not None):
        raise UserError(
            f"--coordinator={AUTO} finds --num-processes and --process-id itself; leave them out"
        )
    if coordinator != AUTO:
        _check(coordinator, num_processes, process_id)
    try:
        jax.distributed.initialize(
            None if coordinator == AUTO else coordinator, num_processes, process_id
        )
    except ValueError as error:
        raise UserError(
            f"--coordinator={AUTO} finds no Slurm, TPU pod, GKE or Open MPI here ({error}); give "
            "--coordinator=HOST:PORT --num-processes=N --process-id=I"
        ) from error
    except RuntimeError as error:
        what = str(error).splitlines()[0]
        raise UserError(
            f"the {num_processes or 'other'} processes did not find each other at "
            f"{coordinator}: {what}; start all of them, each with its own --process-id"
        ) from error
    if jax.process_index():
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115


def _check(coordinator: str, num_processes: int | None, process_id: int | None) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--coordinator={coordinator} must be HOST:PORT, or {AUTO}")
    if num_processes is None or process_id is None:
        raise UserError("--coordinator=HOST:PORT needs --num-processes=N and --process-id=I too")
    if not 0 <= process_id < num_processes:
        raise UserError(
            f"--process-id={process_id} must be from 0 to {num_processes - 1}, as there are "
            f"{num_processes} processes"
        )


def by_first_process(write: Callable[_P, None]) -> Callable[_P, None]:
    """A function that runs in the first process only, and does nothing in the others.

    The processes of a run compute the same figures and images and share one workdir, which one of
    them writes. Collective computations must stay outside `write`: all processes take part.

    Args:
        write: what process 0 does.
    """

    @functools.wraps(write)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        if jax.process_index() == 0:
            write(*args, **kwargs)

    return wrapped
