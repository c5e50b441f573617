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

_UNSEEN = -0.7 * float(jnp.finfo(jnp.float32).max)
"""The score of a masked key. Not -inf: a query without keys would have no softmax."""


def attend(
    query: Array,
    keys: Array,
    values: Array,
    *,
    is_causal: bool,
    mask: Array | None,
    bias: Array | None,
    scale: float | None,
) -> Array:
    """softmax(scale q kᵀ + bias) v; arguments and result as for `kernels.attention`."""
    # Over heads and not over images: those may be split over devices.
    heads = [jnp.moveaxis(x, 2, 0) for x in (query, keys, values)]
    if bias is not None:
        heads.append(jnp.moveaxis(bias, 1, 0))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    n, m = query.shape[1], keys.shape[1]
    seen = jnp.tri(n, m, dtype=bool)[None] if is_causal else None
    if mask is not None:
        seen = mask[:, None] if seen is None else seen & mask[:, None]

    def attend_heads(heads: list[Array], seen: Array | None) -> Array:
        q, k, v, *bias = heads
        scores = jnp.einsum("...nd,...md->...nm", q, k, preferred_element_type=jnp.float32)
        scores *= scale
        for term in bias:
            scores += term
        if seen is not None:
            scores = jnp.where(seen, scores, _UNSEEN)
        weights = jax.nn.softmax(scores).astype(v.dtype)
        return weights @ v

    if n * m < LARGE:
        result = attend_heads(heads, None if seen is None else seen[None])
    else:
        result = jax.lax.map(lambda head: attend_heads(head, seen), heads)
    return jnp.moveaxis(result, 0, 2)
