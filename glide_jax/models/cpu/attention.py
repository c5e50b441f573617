"""Attention as a CPU computes it fastest: the heads' axis first, and large heads one at a time.

Both matrix products then read contiguous memory. The scores of one head of 32×32 pixels take
5 MB, which stay in the cache between the two products; the scores of all heads don't fit.
"""

import math

import jax
import jax.numpy as jnp

from glide_jax.types import Array

LARGE = 2**19
"""Scores of one head and image from which on the heads are computed one after another."""


def attend(query: Array, keys: Array, values: Array, *, is_causal: bool) -> Array:
    """softmax(q kᵀ / √d) v; arguments and result as for `kernels.attention`."""
    # Over heads and not over images: those may be split over devices.
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
