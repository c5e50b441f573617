"""Whether arrays fit the memory that is free, known before any of them is read."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from glide_jax.errors import UserError

_GIB = 2**30


def require_memory(arrays: Iterable[Any], what: str, advice: str) -> None:
    """Raise UserError where arrays alone don't fit the memory that is free.

    Args:
        arrays: jax.ShapeDtypeStruct each, with its sharding.
        what: they are, such as `the encoder's weights take`.
        advice: what to do.
    """
    if missing := missing_memory(arrays):
        raise UserError(f"{what} {missing}; {advice}")


def missing_memory(arrays: Iterable[Any]) -> str | None:
    """`9.0 GiB of gpu:0, of which 7.1 GiB are free`; None: the arrays fit.

    Args:
        arrays: see `require_memory`.
    """
    each = list(arrays)
    if not each:
        return None
    device = min(each[0].sharding.addressable_devices, key=lambda d: d.id)
    needed = sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in each)
    if device.platform == "cpu":  # all of its devices share one memory
        needed *= len(each[0].sharding.addressable_devices)
        free = free_host_bytes()
    else:
        figures = device.memory_stats() or {}
        free = figures.get("bytes_limit", math.inf) - figures.get("bytes_in_use", 0)
    if needed <= free:
        return None
    return (
        f"{needed / _GIB:.1f} GiB of {device.platform}:{device.id}, of which {free / _GIB:.1f} GiB "
        "are free"
    )


def free_host_bytes() -> float:
    """What the system could give to a process; infinity where it doesn't say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:  # not Linux
        return math.inf
    found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * found[0] if found else math.inf
