"""Runs of several processes: how they find each other, and what only the first one does."""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TextIO

import jax

from glide_jax.errors import UserError, one_line
from glide_jax.parallel.cluster import connect, place_of
from glide_jax.parallel.meeting import facts_of, meet

_P = ParamSpec("_P")


def join(
    coordinator: str,
    num_processes: int | None,
    process_id: int | None,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Join a run of several processes. Each process calls it before JAX starts.

    All processes must have the same versions, the same config and clocks that agree. From then on
    JAX sees the devices of all processes and handles SIGTERM, and only the first process prints to
    stdout; stderr is unchanged.

    Args:
        coordinator: `HOST:PORT` of the first process, or `cluster.AUTO`.
        num_processes: of the run; None with AUTO.
        process_id: of this process, from 0; None with AUTO.
        config: what all processes must have the same; JSON, or what has a string.

    Raises:
        UserError: the arguments contradict each other, AUTO finds no cluster, another process
            doesn't come, or they differ.
    """
    place = place_of(coordinator, num_processes, process_id)
    meet(place, facts_of(config or {}), lambda line: print(line, file=sys.stderr, flush=True))
    try:
        connect(place)
    except RuntimeError as error:
        raise UserError(
            f"the {place.num_processes} processes don't connect at {place.coordinator}: "
            f"{one_line(error)}"
        ) from error
    if jax.process_index():
        sys.stdout = _nowhere()


@functools.cache
def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")


def progress_stream() -> TextIO:
    """Where it is shown how far something is: stderr, of several processes that of the first."""
    return _nowhere() if jax.process_index() else sys.stderr


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
