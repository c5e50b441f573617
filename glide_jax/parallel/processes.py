"""A run of several processes: how they find each other, and what only one of them does."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import jax

from glide_jax.errors import UserError

AUTO = "auto"
"""In the place of a coordinator's address: Slurm, a TPU pod, GKE or Open MPI says it."""

_P = ParamSpec("_P")


def join(coordinator: str, num_processes: int | None, process_id: int | None) -> None:
    """Make this process one of a run's; before JAX has started. Every process calls it.

    From then on JAX sees the devices of all of them, SIGTERM is JAX's to hear, and what the
    processes but the first print goes nowhere; their errors are still seen.

    Args:
        coordinator: `HOST:PORT` of the first process, or AUTO.
        num_processes: how many there are; None: with AUTO alone.
        process_id: which of them this one is, from 0; likewise.

    Raises:
        UserError: they make no sense, AUTO finds nobody to ask, or the others don't come.
    """
    told = [num_processes is not None, process_id is not None]
    if coordinator == AUTO and any(told):
        raise UserError(f"--coordinator={AUTO} finds out the rest; leave it out")
    if coordinator != AUTO:
        _check(coordinator, num_processes, process_id)
    try:
        jax.distributed.initialize(
            None if coordinator == AUTO else coordinator, num_processes, process_id
        )
    except ValueError as error:
        raise UserError(
            f"--coordinator={AUTO} finds no Slurm, TPU pod, GKE or Open MPI here ({error}); give "
            "--coordinator=HOST:PORT --num_processes=N --process_id=I"
        ) from error
    except RuntimeError as error:
        what = str(error).splitlines()[0]
        raise UserError(
            f"the {num_processes or 'other'} processes did not find each other at "
            f"{coordinator}: {what}; start all of them, each with a --process_id of its own"
        ) from error
    if jax.process_index():
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115


def _check(coordinator: str, num_processes: int | None, process_id: int | None) -> None:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--coordinator={coordinator} must be HOST:PORT, or {AUTO}")
    if num_processes is None or process_id is None:
        raise UserError("--coordinator=HOST:PORT needs --num_processes=N and --process_id=I too")
    if not 0 <= process_id < num_processes:
        raise UserError(
            f"--process_id={process_id} must be from 0 to {num_processes - 1}, as there are "
            f"{num_processes} processes"
        )


def by_first_process(write: Callable[_P, None]) -> Callable[_P, None]:
    """A function that does nothing in any process of a run but the first.

    The processes of a run on several hosts compute the same figures and pictures, and have one
    workdir: one of them writes it. What is computed on the way must be computed outside, in all
    of them, as each waits for the others' part.

    Args:
        write: what to do in the process of index 0.
    """

    @functools.wraps(write)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        if jax.process_index() == 0:
            write(*args, **kwargs)

    return wrapped
