"""The mesh of devices, and the sharding of each array over it.

Two axes: `data` splits the batch; `fsdp` splits both the batch and the weights (ZeRO, Rajbhandari
et al. 2020). XLA inserts the collectives.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from glide_jax.errors import UserError
from glide_jax.types import Array

BATCH_AXES = ("data", "fsdp")

SMALL = 2**18
"""Arrays of up to this many elements (1 MiB) are replicated: splitting them saves nothing."""

# A weight's path → the axes that `fsdp` may split; the first whose size it divides is split.
# Output channels come first: their gradients then need one reduce-scatter and no transpose.
RULES = (
    (r".*conv\.kernel|.*skip\.kernel|.*\.(up|down)\.kernel|.*blocks\.\d+\.\d+\.kernel", (3, 2)),
    (r".*\.kernel", (1, 0)),
    (r".*_embedding", (0, 1)),
    (r".*", ()),
)


class Shaped(Protocol):
    """An array, or a ShapeDtypeStruct."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102


def make_mesh(fsdp: int, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of all devices of all processes, or of `devices`.

    Of several slices (multislice TPUs; hosts of GPUs without a common NVLink) each copy of the
    weights lies in as few as it can: what sharded weights send stays inside, and between slices go
    gradients alone.

    Args:
        fsdp: number of devices that share one copy of the weights; 1: each has its own.
        devices: may be those of another machine, to compile for.

    Raises:
        UserError: the number of devices is not a multiple of `fsdp`.
    """
    count = jax.device_count() if devices is None else len(devices)
    check_fsdp(fsdp, count)
    shape, kinds = (count // fsdp, fsdp), (AxisType.Auto,) * 2
    devices = jax.devices() if devices is None else devices
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    if slices > 1:  # jax.make_mesh refuses them
        return Mesh(_over_slices(fsdp, devices, slices), BATCH_AXES, axis_types=kinds)
    return jax.make_mesh(shape, BATCH_AXES, axis_types=kinds, devices=devices)


def _over_slices(fsdp: int, devices: Sequence[Any], slices: int) -> np.ndarray:
    """The devices as [data, fsdp]."""
    count = len(devices)
    each = count // slices
    if count == slices * each and each % fsdp == 0:
        inside, across = (each // fsdp, fsdp), (slices, 1)
    elif count == slices * each and fsdp % each == 0:
        inside, across = (1, each), (count // fsdp, fsdp // each)
    else:
        ordered = sorted(devices, key=lambda d: (d.slice_index, d.id))
        return np.array(ordered, dtype=object).reshape(count // fsdp, fsdp)
    return mesh_utils.create_hybrid_device_mesh(inside, across, devices)


def local_mesh() -> Mesh | None:
    """A mesh of this process's devices, to split a batch over; None: it has one alone."""
    devices = jax.local_devices()
    return make_mesh(1, devices) if len(devices) > 1 else None


def check_fsdp(fsdp: int, devices: int) -> None:
    """Raise UserError unless `fsdp` divides the number of devices."""
    if devices % fsdp:
        raise UserError(
            f"training.fsdp={fsdp} does not divide the {devices} devices; "
            f"set one of {', '.join(str(d) for d in range(1, devices + 1) if devices % d == 0)}"
        )


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Axis 0 is split over all devices."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def global_batch(rows: Array) -> Array:
    """Gather the rows of all devices, in the batch's order; gradients return to each row's device.

    Args:
        rows: f32[b …]; inside `shard_map` those of one device, elsewhere already those of all.

    Returns:
        f32[n …], of the global batch.
    """
    axes = _mapped_axes()
    return jax.lax.all_gather(rows, axes, tiled=True) if axes else rows


def indices_in_batch(count: int) -> Array:
    """i32[count]: the indices in `global_batch` of the rows that this device holds."""
    axes = _mapped_axes()
    first = jax.lax.axis_index(axes) * count if axes else 0
    return first + jnp.arange(count)


def _mapped_axes() -> tuple[str, ...]:
    """The batch's axes of the mesh that an enclosing `shard_map` maps over."""
    mapped = jax.sharding.get_abstract_mesh().manual_axes
    return tuple(axis for axis in BATCH_AXES if axis in mapped)


def weight_sharding(mesh: Mesh, weights: Mapping[str, Shaped]) -> dict[str, NamedSharding]:
    """Each weight's sharding, by path; weights that `fsdp` can't split are replicated."""
    return {path: NamedSharding(mesh, _spec(mesh, path, s.shape)) for path, s in weights.items()}


def _spec(mesh: Mesh, path: str, shape: tuple[int, ...]) -> PartitionSpec:
    fsdp = mesh.shape["fsdp"]
    if math.prod(shape) <= SMALL:
        return PartitionSpec()
    axes = next(axes for pattern, axes in RULES if re.fullmatch(pattern, path))
    for axis in axes:
        if fsdp > 1 and axis < len(shape) and shape[axis] % fsdp == 0:
            return PartitionSpec(*(["fsdp" if i == axis else None for i in range(len(shape))]))
    return PartitionSpec()
