"""Attention as a CPU computes it fastest: heads outermost, and large ones one after the other.

Both products then run over matrices that lie in memory as they are multiplied. The scores of one
head of 32×32 pixels are 5 MB, which stay in the cache between the two; those of all heads don't.
"""

import math

import jax
import jax.numpy as jnp

from glide_jax.types import Array

LARGE = 2**19
"""Scores of a head and a picture from which on heads wait for each other."""


def attend_on_cpu(query: Array, keys: Array, values: Array, *, is_causal: bool) -> Array:
    """What `attention.attend` gives, but for rounding.

    Args and Returns: those of `attend`.
    """
    # Heads, not pictures: those may be split over devices.
    q, k, v = (jnp.moveaxis(x, 2, 0) for x in (query, keys, values))
    if query.shape[1] * keys.shape[1] < LARGE:
        heads = _attend(q, k, v, is_causal)
    else:
        heads = jax.lax.map(lambda head: _attend(head[0], head[1], head[2], is_causal), (q, k, v))
    return jnp.moveaxis(heads, 0, 2)


def _attend(query: Array, keys: Array, values: Array, is_causal: bool) -> Array:
    """[… n d], [… m d], [… m d] → [… n d]."""
    scores = jnp.einsum("...nd,...md->...nm", query, keys, preferred_element_type=jnp.float32)
    scores *= 1 / math.sqrt(query.shape[-1])
    if is_causal:
        seen = jnp.tri(*scores.shape[-2:], dtype=bool)
        scores = jnp.where(seen, scores, -jnp.inf)
    weights = jax.nn.softmax(scores).astype(values.dtype)
    return weights @ values
