"""The mesh of devices, and the sharding of each array over it.

Two axes: `data` splits the batch; `fsdp` splits both the batch and the weights (ZeRO, Rajbhandari
et al. 2020). More devices than MOST_A_DIMENSION that share the weights lie on two axes, `fsdp` and
`fsdp_rest`, which may split two dimensions of a weight: 192 channels have 64 parts, not 128. XLA
inserts the collectives.
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

REST = "fsdp_rest"
"""The third axis, where there is one."""

MOST_A_DIMENSION = 64
"""Parts that the channels of every model here have, 192 · 2^n of them."""

SMALL = 2**16
"""Arrays of up to this many elements (256 KiB) are replicated: splitting them saves nothing."""

# A weight's path → the dimensions that may be split; the first whose size the devices divide is.
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
    names, shape, kinds = axes_of(count, fsdp)
    devices = jax.devices() if devices is None else devices
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    if slices > 1:  # jax.make_mesh refuses them
        return Mesh(_over_slices(fsdp, devices, slices).reshape(shape), names, axis_types=kinds)
    return jax.make_mesh(shape, names, axis_types=kinds, devices=devices)


def axes_of(
    devices: int, fsdp: int
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[AxisType, ...]]:
    """The names, sizes and kinds of a mesh's axes.

    Args:
        devices: of the mesh, a multiple of `fsdp`.
        fsdp: number of devices that share one copy of the weights.
    """
    inner = math.gcd(fsdp, MOST_A_DIMENSION)
    if fsdp <= MOST_A_DIMENSION or inner == 1:
        return BATCH_AXES, (devices // fsdp, fsdp), (AxisType.Auto,) * 2
    sizes = (devices // fsdp, inner, fsdp // inner)
    return (*BATCH_AXES, REST), sizes, (AxisType.Auto,) * 3


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
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names))


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
    return tuple(axis for axis in (*BATCH_AXES, REST) if axis in mapped)


def weight_sharding(mesh: Mesh, weights: Mapping[str, Shaped]) -> dict[str, NamedSharding]:
    """Each weight's sharding, by path; weights that `fsdp` can't split are replicated."""
    return {path: NamedSharding(mesh, _spec(mesh, path, s.shape)) for path, s in weights.items()}


def _spec(mesh: Mesh, path: str, shape: tuple[int, ...]) -> PartitionSpec:
    parts = {name: mesh.shape[name] for name in ("fsdp", REST) if mesh.shape.get(name, 1) > 1}
    if not parts or math.prod(shape) <= SMALL:
        return PartitionSpec()
    dimensions = next(found for pattern, found in RULES if re.fullmatch(pattern, path))
    left = list(shape)
    split: list[tuple[str, ...]] = [()] * len(shape)

    def divide(names: tuple[str, ...]) -> bool:
        count = math.prod(parts[name] for name in names)
        for i in (i for i in dimensions if i < len(shape) and left[i] % count == 0):
            left[i] //= count
            split[i] += names
            return True
        return False

    # One dimension by all devices, or each axis its own; the second may find none.
    if not divide(tuple(parts)):
        for name in parts if len(parts) > 1 else ():
            divide((name,))
    if not any(split):
        return PartitionSpec()
    return PartitionSpec(*(names if len(names) > 1 else next(iter(names), None) for names in split))
