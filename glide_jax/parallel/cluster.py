"""Where a run's processes meet, and which one this is: as somebody says, or as the cluster does.

--coordinator=HOST:PORT --num-processes=N --process-id=I
--coordinator=auto ─┬─ MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK: torchrun and its like
                    └─ Slurm, a TPU pod, GKE, Open MPI: as JAX finds them
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

import jax

from glide_jax.errors import UserError, one_line

AUTO = "auto"
"""Instead of a coordinator's address: ask the cluster."""

_TORCH = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")

_ASK_S = 50
"""How long JAX may look up the first host's address, where its name is not known yet."""


class Place(NamedTuple):
    """Of a process in a run.

    Attributes:
        coordinator: `HOST:PORT` of the first process.
        num_processes: of the run.
        process_id: of this process, from 0.
        local_device_ids: the devices of the host that are this process's; None: all.
    """

    coordinator: str
    num_processes: int
    process_id: int
    local_device_ids: tuple[int, ...] | None


def place_of(coordinator: str, num_processes: int | None, process_id: int | None) -> Place:
    """The place of this process.

    Args:
        coordinator: `HOST:PORT` of the first process, or AUTO.
        num_processes, process_id: None with AUTO.

    Raises:
        UserError: they contradict each other, or AUTO finds no cluster.
    """
    if coordinator == AUTO:
        if num_processes is not None or process_id is not None:
            raise UserError(
                f"--coordinator={AUTO} finds --num-processes and --process-id itself; leave them "
                "out"
            )
        return of_torch(os.environ) or _of_jax()
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
    return Place(coordinator, num_processes, process_id, None)


def of_torch(environment: Mapping[str, str]) -> Place | None:
    """The place that the variables of torchrun, Kubeflow and others give; None: they aren't there.

    Args:
        environment: with MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK; where a host has several
            processes LOCAL_WORLD_SIZE and LOCAL_RANK say which of its devices is whose.

    Raises:
        UserError: one of them makes no sense.
    """
    values = {name: environment.get(name, "") for name in _TORCH}
    if not all(values.values()):
        return None
    numbers = {name: values[name] for name in _TORCH[1:]}
    numbers |= {name: environment.get(name, "0") for name in ("LOCAL_WORLD_SIZE", "LOCAL_RANK")}
    if wrong := next((name for name, text in numbers.items() if not text.isdigit()), None):
        raise UserError(f"{wrong}={numbers[wrong]!r} of the environment must be an integer")
    port, count, rank, local_count, local = map(int, numbers.values())
    if rank >= count:
        raise UserError(f"RANK={rank} of the environment must be less than WORLD_SIZE={count}")
    # There torchrun itself listens at MASTER_PORT.
    port += environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return Place(
        f"{values['MASTER_ADDR']}:{port}", count, rank, (local,) * (local_count > 1) or None
    )


def _of_jax() -> Place:
    """As JAX finds the cluster."""
    from jax._src import clusters  # it has no public name: JAX asks as it connects

    try:
        found = clusters.ClusterEnv.auto_detect_unset_distributed_params(
            None, None, None, None, None, _ASK_S
        )
    except Exception as error:  # clusters' variables are parsed as they are
        raise UserError(_not_found(one_line(error))) from error
    coordinator, count, process, devices = found
    if coordinator is None or count is None or process is None:
        raise UserError(_not_found("no variable of theirs is set"))
    return Place(coordinator, count, process, None if devices is None else tuple(devices))


def _not_found(why: str) -> str:
    return (
        f"--coordinator={AUTO} finds no Slurm, TPU pod, GKE or Open MPI here, nor "
        f"{', '.join(_TORCH)} ({why}); give --coordinator=HOST:PORT --num-processes=N "
        "--process-id=I"
    )


def connect(place: Place) -> None:
    """Start JAX in this process of the run.

    Raises:
        RuntimeError: JAX has started already.
    """
    jax.distributed.initialize(
        place.coordinator, place.num_processes, place.process_id, place.local_device_ids
    )
