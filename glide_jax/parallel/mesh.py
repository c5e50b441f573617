"""The mesh of devices, and where each array lies on it.

Two axes: `data` splits the batch; `fsdp` splits the batch and the weights too (ZeRO, Rajbhandari
et al. 2020). XLA puts in the collectives.
"""

import contextlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from glide_jax.errors import UserError
from glide_jax.types import Array

BATCH_AXES = ("data", "fsdp")

SMALL = 2**18
"""Arrays of so many elements or fewer (1 MiB) are on every device: splitting them saves nothing."""

# A weight's path → the axes of its array that `fsdp` may split, the first that divides is taken.
# Output channels first: their gradients then need one reduce-scatter and no transpose.
RULES = (
    (r".*conv\.kernel|.*skip\.kernel|.*\.(up|down)\.kernel|.*blocks\.\d+\.\d+\.kernel", (3, 2)),
    (r".*\.kernel", (1, 0)),
    (r".*_embedding", (0, 1)),
    (r".*", ()),
)


class Shaped(Protocol):
    """An array, or what stands for one."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102


def make_mesh(fsdp: int, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of all devices of all processes, or of those given.

    Args:
        fsdp: how many devices share one copy of the weights; 1: each has its own.
        devices: may be of a machine that is not here, to compile for.

    Raises:
        UserError: the number of devices is no multiple of `fsdp`.
    """
    count = jax.device_count() if devices is None else len(devices)
    check_fsdp(fsdp, count)
    shape, kinds = (count // fsdp, fsdp), (AxisType.Auto,) * 2
    return jax.make_mesh(shape, BATCH_AXES, axis_types=kinds, devices=devices)


def check_fsdp(fsdp: int, devices: int) -> None:
    """Raises UserError unless groups of `fsdp` make up all devices."""
    if devices % fsdp:
        raise UserError(
            f"training.fsdp={fsdp} does not divide the {devices} devices; "
            f"set one of {', '.join(str(d) for d in range(1, devices + 1) if devices % d == 0)}"
        )


def divide_cpu(count: int) -> None:
    """Make as many devices of the CPU, where JAX has not started and XLA_FLAGS don't say how many.

    Args:
        count: 1 or more; its cores are shared out among them.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if count == 1 or "xla_force_host_platform_device_count" in flags:
        return
    with contextlib.suppress(RuntimeError):  # it has started: in a notebook, say
        jax.config.update("jax_num_cpu_devices", count)
        # A device's operations keep to its own thread: two that share one pool wait for each other.
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds all of it."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Every device holds its share of axis 0."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def whole_batch(rows: Array) -> Array:
    """The rows of all devices, in the batch's order; its gradient comes back to each row's device.

    Args:
        rows: f32[b …], of one device inside `shard_map`; elsewhere of all of them already, and
            where they lie is XLA's affair.

    Returns:
        f32[n …], of the whole batch.
    """
    axes = _mapped_axes()
    return jax.lax.all_gather(rows, axes, tiled=True) if axes else rows


def place_in_batch(count: int) -> Array:
    """i32[count]: where the rows that a device holds lie among those of `whole_batch`."""
    axes = _mapped_axes()
    first = jax.lax.axis_index(axes) * count if axes else 0
    return first + jnp.arange(count)


def _mapped_axes() -> tuple[str, ...]:
    """The mesh's axes of the batch that `shard_map` is at work on."""
    mapped = jax.sharding.get_abstract_mesh().manual_axes
    return tuple(axis for axis in BATCH_AXES if axis in mapped)


def weight_sharding(mesh: Mesh, weights: Mapping[str, Shaped]) -> dict[str, NamedSharding]:
    """Each weight's sharding, by path; weights that `fsdp` can't divide are on every device."""
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
