"""A digest of weights that is the same on any devices and however they are sharded."""

import hashlib
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from glide_jax.parallel.mesh import replicated
from glide_jax.types import Array

_MULTIPLIERS = (2654435761, 2246822519)
"""Odd, so that no bit of an element is lost: two sums of 32 bits for each array."""


def weights_fingerprint(params: Mapping[str, Array]) -> str:
    """A digest of every value of some weights, computed where they are.

    Two sums modulo 2³² over each array's bits, each element's multiplied by an odd number that
    depends on its place: integers, whose sum doesn't depend on its order. Then SHA-256 over all
    arrays' names, shapes and sums. It is no protection against somebody who wants two to agree.

    Args:
        params: path → array, of float32 or bfloat16; the values count, not how they are stored.
    """
    return fingerprint_of_each(params.items())


def fingerprint_of_each(weights: Iterable[tuple[str, Array]]) -> str:
    """As `weights_fingerprint`, of (path, array) one after the other, in any order."""
    lines = [f"{path} {x.shape} {np.asarray(array_sums(x)).tolist()}\n" for path, x in weights]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()[:32]


def array_sums(x: Array) -> Array:
    """u32[2], see `weights_fingerprint`; on every device of x's mesh."""
    sharding = getattr(x, "sharding", None)
    mesh = sharding.mesh if isinstance(sharding, NamedSharding) else None
    return _sums(x, mesh=mesh if isinstance(mesh, Mesh) else None)


def _sums_of(x: Array, *, mesh: Mesh | None) -> Array:
    bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32)
    place = jnp.zeros(x.shape, jnp.uint32)
    for axis, size in enumerate(x.shape):
        place = place * jnp.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis)
    factors = [place * jnp.uint32(multiplier) | 1 for multiplier in _MULTIPLIERS]
    sums = jnp.stack([jnp.sum(bits * factor, dtype=jnp.uint32) for factor in factors])
    return sums if mesh is None else jax.lax.with_sharding_constraint(sums, replicated(mesh))


_sums = jax.jit(_sums_of, static_argnames="mesh")
