"""Weights from files onto devices, one array at a time, and a fingerprint of all of them.

    lazy array ─ pieces ─┬─ cast ─→ host array ─ transposed ─ placed by its sharding ─→ params
                         └─ every n-th element ─→ SHA-256

The host holds one array of the model at a time.
"""

import dataclasses
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh, Sharding, SingleDeviceSharding

from glide_jax.errors import UserError, a_few
from glide_jax.interop import tables
from glide_jax.interop.weights import LazyArray, open_weights
from glide_jax.parallel.free_memory import require_memory
from glide_jax.parallel.mesh import weight_sharding
from glide_jax.parallel.processes import progress_stream
from glide_jax.progress import Counter
from glide_jax.types import Array, Params

SAMPLED = 2**14
"""Elements of an array that the fingerprint reads: all of small ones, every n-th of large ones."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a model's weights are called in other people's files.

    Attributes:
        table: rows as in `interop.tables`.
        ignored: pattern of the keys that an encoder doesn't need.
        same: key → a second name under which some files have it.
        prefix: pattern of what some files put before every key.
    """

    table: Sequence[tuple[str, str, str]]
    ignored: str
    same: Mapping[str, str] = dataclasses.field(default_factory=dict)
    prefix: str = ""

    def places(
        self, shapes: Mapping[str, jax.ShapeDtypeStruct]
    ) -> dict[str, tuple[str, tables.Rule]]:
        """Their key → (our path, the rule that turns the array)."""
        rules, places = tables.rules(self.table), {}
        for path in shapes:
            (key,), rule = tables.match(path, rules)
            places[key] = (path, rule)
        return places

    def reference_shapes(
        self, shapes: Mapping[str, jax.ShapeDtypeStruct]
    ) -> dict[str, tuple[int, ...]]:
        """Their key → the shape of its array, for all weights."""
        return {
            key: rule.shape(shapes[path].shape) for key, (path, rule) in self.places(shapes).items()
        }

    def renamed(
        self, arrays: Mapping[str, LazyArray], wanted: Mapping[str, tuple[int, ...]]
    ) -> dict[str, LazyArray]:
        """The arrays that are wanted, by their first name.

        Raises:
            UserError: some are missing, of another shape, or unknown.
        """
        arrays = {re.sub(f"^(?:{self.prefix})", "", key): a for key, a in arrays.items()}
        names = {key: key if key in arrays else self.same.get(key, key) for key in wanted}
        found = {key: arrays[name] for key, name in names.items() if name in arrays}
        unknown = [
            key for key in arrays if key not in wanted and not re.fullmatch(self.ignored, key)
        ]
        wrong = [
            f"{key} is {array.shape}, not {wanted[key]}"
            for key, array in found.items()
            if array.shape != wanted[key]
        ]
        wrong += [f"no {key}" for key in wanted if key not in found]
        wrong += [f"unknown {key}" for key in unknown]
        if wrong:
            raise UserError(f"the weights are another model's: {a_few(wrong, '; ')}")
        return found


def read_weights(
    path: Path,
    layout: Layout,
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    mesh: Mesh | None,
    name: str,
) -> tuple[Params, str]:
    """Open files of weights and place them, see `place`; a progress bar shows how far it is.

    Args:
        path: a folder or file, as for `interop.weights.open_weights`.
        layout, shapes, mesh: as for `place`.
        name: of the model, for the progress bar.

    Raises:
        UserError: the files can't be read, or as `place`, with the path before it.
    """
    arrays = open_weights(path)
    try:
        return place(arrays, layout, shapes, mesh, f"reading {name}")
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def place(
    arrays: Mapping[str, LazyArray],
    layout: Layout,
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    mesh: Mesh | None,
    title: str,
) -> tuple[Params, str]:
    """Read the weights, cast and placed.

    Args:
        arrays: by their keys; more than needed.
        layout: what they are called.
        shapes: every weight's shape and dtype, by our path.
        mesh: to split them over by `parallel.mesh`; None: this process's first device.
        title: of the progress bar.

    Returns:
        (params, their fingerprint: SHA-256 of names, shapes, dtypes in the file and sampled
        elements; the same for one file and for shards).

    Raises:
        UserError: keys or shapes are another model's, or there is too little memory.
    """
    places = layout.places(shapes)
    found = layout.renamed(arrays, layout.reference_shapes(shapes))
    here = SingleDeviceSharding(jax.local_devices()[0])
    targets: dict[str, Sharding] = dict.fromkeys(shapes, here)
    if mesh is not None:
        targets.update(weight_sharding(mesh, shapes))
    require_memory(
        (
            jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=targets[path])
            for path, leaf in shapes.items()
        ),
        "the encoder's weights take",
        "use bfloat16 or more memory, encode on several devices, or encode before the models are "
        "loaded: by `glide-jax encode`, or prompts=… of Pipeline.load",
    )
    params, digests = {}, {}
    total = sum(array.size * array.dtype.itemsize for array in found.values())
    with Counter(progress_stream(), title, total, "bytes") as counter:
        for key, array in found.items():
            path, rule = places[key]
            host, digests[key] = _read(array, shapes[path].dtype)
            placed = on_devices(rule.from_torch(host), targets[path])
            # Or the next array would be read while this one is still being copied.
            params[path] = jax.block_until_ready(placed)
            counter.advance(array.size * array.dtype.itemsize)
    together = "\n".join(f"{key} {digests[key]}" for key in sorted(digests))
    return params, hashlib.sha256(together.encode()).hexdigest()


def on_devices(array: np.ndarray, sharding: Sharding) -> Array:
    """An array that every process has, split as `sharding` says.

    `jax.device_put` would first compare it among all processes.
    """
    return jax.make_array_from_callback(array.shape, sharding, array.__getitem__)


def _read(array: LazyArray, dtype: np.dtype) -> tuple[np.ndarray, str]:
    """The array, cast; and what the fingerprint has of it."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    step = math.ceil(max(1, array.size) / SAMPLED)
    host, start = np.empty(array.size, dtype), 0
    for piece in array.pieces():
        host[start : start + piece.size] = piece
        digest.update(np.ascontiguousarray(piece[-start % step :: step]).tobytes())
        start += piece.size
    return host.reshape(array.shape), digest.hexdigest()
