"""What a stage's state takes of a device's memory, by its shapes and shardings alone."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh

from glide_jax.errors import UserError
from glide_jax.parallel.mesh import BATCH_AXES
from glide_jax.training.state import TrainState, state_sharding

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class StateBytes:
    """Bytes of one device.

    Attributes:
        weights, average, optimizer: of the state, from step to step.
        gradients: of one backward pass, where they lie as the weights do.
    """

    weights: int
    average: int
    optimizer: int
    gradients: int

    @property
    def kept(self) -> int:
        """What stays from step to step."""
        return self.weights + self.average + self.optimizer

    @property
    def least(self) -> int:
        """What a step can't do without: the clipping wants all gradients at once."""
        return self.kept + self.gradients


def state_bytes(state: TrainState, mesh: Mesh | AbstractMesh) -> StateBytes:
    """Of a state, arrays or shapes, on one device of a mesh."""
    where: Any = mesh
    shardings = state_sharding(where, state)
    weights = _bytes(state.params, shardings.params)
    average = _bytes(state.ema_params, shardings.ema_params)
    optimizer = _bytes(state.opt_state, shardings.opt_state)
    return StateBytes(weights, average, optimizer, gradients=weights)


def abstract_mesh(devices: int, fsdp: int) -> AbstractMesh:
    """A mesh of devices that need not be here."""
    sizes = (devices // fsdp, fsdp)
    return AbstractMesh(sizes, BATCH_AXES, axis_types=(AxisType.Auto,) * 2)


def least_fsdp(state: TrainState, devices: int, limit: float) -> int | None:
    """The least `training.fsdp` with which a step's `least` stays below a limit, in bytes."""
    for fsdp in (n for n in range(1, devices + 1) if devices % n == 0):
        if state_bytes(state, abstract_mesh(devices, fsdp)).least <= limit:
            return fsdp
    return None


def check_state_fits(
    name: str, state: TrainState, fsdp: int, devices: int, limit: float, place: str
) -> None:
    """Refuse what no compiler could fit.

    Args:
        name: of the stage.
        state: arrays or shapes.
        fsdp: devices that share one copy of it.
        devices: how many there are.
        limit: bytes that a program may use of one.
        place: what a device is called.

    Raises:
        UserError: the state and one set of gradients alone are more than a device holds.
    """
    needs = state_bytes(state, abstract_mesh(devices, fsdp))
    if needs.least <= limit:
        return
    found = least_fsdp(state, devices, limit)
    prefix = "" if name == "base" else f"{name}."
    what_to_do = (
        f"set {prefix}training.fsdp={found}"
        if found
        else f"no training.fsdp makes it fit {devices} of them: take more devices or larger ones"
    )
    raise UserError(
        f"{name}: weights, average, optimizer and gradients take {needs.least / GIB:.1f} GiB of a "
        f"device with training.fsdp={fsdp}, and {place} has {limit / GIB:.1f} GiB; {what_to_do}"
    )


def memory_limit(devices: Iterable[Any]) -> int | None:
    """Bytes of the smallest device; None: not all of them tell."""
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    told = [limit for limit in limits if limit is not None]
    return min(told) if told and len(told) == len(limits) else None


def _bytes(tree: Any, shardings: Any) -> int:
    leaves: Sequence[Any] = jax.tree.leaves(tree)
    where: Sequence[Any] = jax.tree.leaves(shardings)
    return sum(
        math.prod(sharding.shard_shape(x.shape)) * x.dtype.itemsize
        for x, sharding in zip(leaves, where, strict=True)
    )
