"""The memory of a job's state on each device, from its shapes and shardings alone."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
from jax.sharding import AbstractMesh, Mesh

from glide_jax.errors import UserError
from glide_jax.parallel.mesh import Shaped, axes_of, weight_sharding
from glide_jax.training.state import TrainState, state_sharding

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class StateBytes:
    """Bytes on each device.

    Attributes:
        weights, average, optimizer: of the state, which stays from step to step.
        gradients: of one backward pass, sharded as the weights.
        base: of the weights that an adapter changes, in float32; 0: there is no adapter.
    """

    weights: int
    average: int
    optimizer: int
    gradients: int
    base: int

    @property
    def kept(self) -> int:
        """Bytes that stay from step to step."""
        return self.weights + self.average + self.optimizer + self.base

    @property
    def least(self) -> int:
        """Bytes that no step can do without: clipping needs all gradients at once."""
        return self.kept + self.gradients


def state_bytes(
    state: TrainState, mesh: Mesh | AbstractMesh, base: Mapping[str, Shaped] | None = None
) -> StateBytes:
    """The bytes of a state, and of an adapter's base, on each device of a mesh.

    Args:
        state: arrays or shapes.
        mesh: may be of devices that are not here.
        base: the weights that the state's adapter changes, arrays or shapes; None: there is none.
    """
    any_mesh: Any = mesh
    shardings = state_sharding(any_mesh, state)
    weights = _bytes(state.params, shardings.params)
    average = _bytes(state.ema_params, shardings.ema_params)
    optimizer = _bytes(state.opt_state, shardings.opt_state)
    frozen = _bytes(base, weight_sharding(any_mesh, base)) if base else 0
    return StateBytes(weights, average, optimizer, gradients=weights, base=frozen)


def abstract_mesh(devices: int, fsdp: int) -> AbstractMesh:
    """A mesh of devices that need not be here."""
    names, sizes, kinds = axes_of(devices, fsdp)
    return AbstractMesh(sizes, names, axis_types=kinds)


def least_fsdp(
    state: TrainState, devices: int, limit: float, base: Mapping[str, Shaped] | None = None
) -> int | None:
    """The least `training.fsdp` whose `StateBytes.least` is within `limit` bytes; None: none is."""
    for fsdp in (n for n in range(1, devices + 1) if devices % n == 0):
        if state_bytes(state, abstract_mesh(devices, fsdp), base).least <= limit:
            return fsdp
    return None


def check_state_fits(
    section: str,
    state: TrainState,
    fsdp: int,
    devices: int,
    limit: float,
    place: str,
    base: Mapping[str, Shaped] | None = None,
) -> None:
    """Check that a state and its gradients fit the devices; no compiler could help otherwise.

    Args:
        section: of the config, see `training.job.Job`.
        state: arrays or shapes.
        fsdp: number of devices that share one copy of it.
        devices: number of devices.
        limit: bytes that a program may use on each.
        place: the name of the device.
        base: see `state_bytes`.

    Raises:
        UserError: the state and one set of gradients need more than a device has.
    """
    needs = state_bytes(state, abstract_mesh(devices, fsdp), base)
    if needs.least <= limit:
        return
    found = least_fsdp(state, devices, limit, base)
    what_to_do = (
        f"set {section}.training.fsdp={found}"
        if found
        else f"no training.fsdp makes it fit {devices} of them: take more devices or larger ones"
    )
    raise UserError(
        f"{section}: {'the base, ' if base else ''}weights, average, optimizer and gradients take "
        f"{needs.least / GIB:.1f} GiB of a device with training.fsdp={fsdp}, and {place} has "
        f"{limit / GIB:.1f} GiB; {what_to_do}"
    )


def memory_limit(devices: Iterable[Any]) -> int | None:
    """Bytes of the smallest device; None: not all of them report their memory."""
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known and len(known) == len(limits) else None


def _bytes(tree: Any, shardings: Any) -> int:
    leaves: Sequence[Any] = jax.tree.leaves(tree)
    where: Sequence[Any] = jax.tree.leaves(shardings)
    return sum(
        math.prod(sharding.shard_shape(x.shape)) * x.dtype.itemsize
        for x, sharding in zip(leaves, where, strict=True)
    )
