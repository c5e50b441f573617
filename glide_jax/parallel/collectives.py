"""What the processes of a run give each other. Every process must make the same calls, in order."""

import hashlib
from collections.abc import Callable, Iterable

import jax
import numpy as np
from jax.experimental import multihost_utils

_CHUNK_BYTES = 2**26
"""Of each process, gathered at once: the devices hold those of all."""


def part_of(count: int) -> range:
    """The part of `count` rows that is this process's: as many as the others', one more or less."""
    process, processes = jax.process_index(), jax.process_count()
    return range(count * process // processes, count * (process + 1) // processes)


def gathered(rows: np.ndarray) -> np.ndarray:
    """The rows of all processes, those of the first process first, bit for bit.

    Args:
        rows: [n …], of any n, which may differ between processes; of any dtype without objects.

    Returns:
        [N …], N the sum of all n; `rows` itself in a run of one process.
    """
    if jax.process_count() == 1:
        return rows
    counts = np.asarray(multihost_utils.process_allgather(np.int32(len(rows))))
    # As bytes: JAX would round 64-bit numbers to 32.
    size = int(np.prod(rows.shape[1:])) * rows.itemsize
    padded = np.zeros((counts.max(), size), np.uint8)
    padded[: len(rows)] = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    step = max(1, _CHUNK_BYTES // size)
    chunks = [
        np.asarray(multihost_utils.process_allgather(padded[start : start + step]))
        for start in range(0, len(padded), step)
    ]
    every = np.concatenate([np.zeros((len(counts), 0, size), np.uint8), *chunks], axis=1)
    together = np.concatenate([own[:count] for own, count in zip(every, counts, strict=True)])
    return together.view(rows.dtype).reshape(-1, *rows.shape[1:])


def shared_out(count: int, compute: Callable[[range], np.ndarray]) -> np.ndarray:
    """What is computed of rows, each process of a run computing its part.

    Args:
        count: of all rows, the same in every process.
        compute: some of the rows, one after the other → [len(rows) …]; of no row, it is not called.

    Returns:
        [count …], in every process.
    """
    if count < jax.process_count():
        return compute(range(count))
    return gathered(compute(part_of(count)))


def as_first_process(flags: Iterable[bool]) -> list[bool]:
    """The first process's flags: what it has seen of a folder, so that all do the same.

    Args:
        flags: as many in every process.
    """
    own = np.array([*flags], np.uint8)
    if jax.process_count() == 1 or not len(own):
        return own.astype(bool).tolist()
    return np.asarray(multihost_utils.broadcast_one_to_all(own)).astype(bool).tolist()


def unlike_first(text: str) -> list[int]:
    """The numbers of the processes that gave another text than the first one.

    Args:
        text: of any length.
    """
    mine = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)[None]
    every = gathered(mine)
    return [int(i) for i in np.flatnonzero((every != every[0]).any(axis=1))]


def wait_for_all(what: str) -> None:
    """Return once every process has come here.

    Args:
        what: a name, the same in all.
    """
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def on_host(array: jax.Array | np.ndarray) -> np.ndarray:
    """All of an array, wherever its parts are."""
    if isinstance(array, np.ndarray) or array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    return np.asarray(multihost_utils.process_allgather(array, tiled=True))
