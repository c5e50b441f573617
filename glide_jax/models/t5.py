"""T5's encoder (Raffel et al. 2020, sec. 2.1), as it was first published and as version 1.1.

    tokens ─ embedding ─ h + attention(norm(h)) ─ h + mlp(norm(h)) ─ … ─ norm ─→ a vector a token

Attention is softmax(q kᵀ + b) v, without 1/√d. b depends on the signed distance of query and key
alone, by buckets that widen with the distance; one table serves every block. There are no biases,
and the norms only scale (Zhang & Sennrich 2019).

float16 overflows here: in the larger models h grows beyond its 65,504 (that is why float16 weights
of T5 are known to give NaN). Weights in float16 are exact in float32, and are computed in float32
or bfloat16, which has float32's range. h, the sum over all blocks, stays in float32 whatever the
dtype: bfloat16's 8 bits would round away much of what a late block adds to it. With 24 blocks of
random weights and an h of 10 times what a block adds, the result is then 0.9 % off, and 1.7 % with
an h in bfloat16; and h is small beside the weights.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from glide_jax.models import kernels, layers
from glide_jax.models.pure import PureEncoder, pure_encoder
from glide_jax.types import Array

NORM_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class T5Config:
    """Sizes of an encoder.

    Attributes:
        vocab_size: rows of the embedding table.
        width: channels of h and of the result.
        layers: number of blocks.
        heads: of attention.
        head_width: channels of a head; heads · head_width may differ from width.
        mlp_width: channels inside an MLP.
        gated: whether an MLP is gelu(x A) ⊙ (x B) (version 1.1; Shazeer 2020) or relu(x B).
        buckets: of distances, half of them for keys before the query; a multiple of 4.
        max_distance: tokens apart, from which on all distances share a bucket.
    """

    vocab_size: int
    width: int
    layers: int
    heads: int
    head_width: int
    mlp_width: int
    gated: bool
    buckets: int
    max_distance: int


def t5(config: T5Config, *, dtype: str) -> PureEncoder:
    """An encoder of any size; no weights are created.

    Args:
        config: its sizes.
        dtype: `float32` or `bfloat16`: of the weights and of matrix products. Sums over blocks,
            norms and softmax are in float32.

    Raises:
        ValueError: another dtype, of which float16 would overflow.
    """
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"T5 is computed in float32 or bfloat16, not {dtype}")
    kind = jnp.dtype(dtype)
    return pure_encoder(config, kind, lambda rngs: _Encoder(config, kind, rngs))


def relative_buckets(key_minus_query: np.ndarray, buckets: int, max_distance: int) -> np.ndarray:
    """The bucket of each distance between a query and a key (Raffel et al. 2020, sec. 2.1).

    The first half of the buckets is for keys at or before the query, the second for later ones. In
    a half of n, distances below n/2 have a bucket each; the others share the rest, whose edges grow
    geometrically up to `max_distance`.

    Args:
        key_minus_query: int[…], positions apart.
        buckets: their number, a multiple of 4.
        max_distance: where the last bucket has no end.

    Returns:
        int[…] in [0, buckets).
    """
    half = buckets // 2
    exact = half // 2
    wide = half - exact

    def starts(bucket: int) -> int:
        """The smallest d with d ≥ exact (max_distance / exact)^(bucket / wide), in integers."""
        least = max_distance**bucket * exact ** (wide - bucket)
        return next(d for d in range(exact, max_distance + 1) if d**wide >= least)

    edges = [*range(1, exact + 1), *(starts(bucket) for bucket in range(1, wide))]
    within = np.searchsorted(edges, np.abs(key_minus_query), side="right")
    return within + half * (key_minus_query > 0)


class _Norm(nnx.Module):
    """Root mean square normalisation of the last axis (Zhang & Sennrich 2019), in float32."""

    def __init__(self, width: int, dtype: jnp.dtype):
        self.dtype = dtype
        self.scale = nnx.Param(jnp.ones(width, dtype))

    def __call__(self, x: Array) -> Array:
        """f32[b l c] → the same shape, in the module's dtype."""
        square = jnp.square(x).mean(-1, keepdims=True)
        normed = x * jax.lax.rsqrt(square + NORM_EPSILON)
        return (normed * self.scale[...].astype(jnp.float32)[None, None]).astype(self.dtype)


class _Block(nnx.Module):
    """h + attention(norm(h)), then h + mlp(norm(h))."""

    def __init__(self, config: T5Config, dtype: jnp.dtype, rngs: nnx.Rngs):
        def linear(width_in: int, width_out: int) -> nnx.Linear:
            return nnx.Linear(
                width_in, width_out, use_bias=False, dtype=dtype, param_dtype=dtype, rngs=rngs
            )

        width, inner = config.width, config.heads * config.head_width
        self.heads = (config.heads, config.head_width)
        self.gated = config.gated
        self.attention_norm = _Norm(width, dtype)
        self.query = linear(width, inner)
        self.key = linear(width, inner)
        self.value = linear(width, inner)
        self.proj = linear(inner, width)
        self.mlp_norm = _Norm(width, dtype)
        if config.gated:
            self.mlp_gate = linear(width, config.mlp_width)
        self.mlp_in = linear(width, config.mlp_width)
        self.mlp_out = linear(config.mlp_width, width)

    def __call__(self, h: Array, mask: Array, bias: Array) -> Array:
        """h: f32[b l c], mask: bool[b l], bias: f32[1 heads l l] → f32[b l c]."""
        x = self.attention_norm(h)
        query, key, value = (
            layer(x).reshape(*x.shape[:2], *self.heads)
            for layer in (self.query, self.key, self.value)
        )
        attended = kernels.attention(query, key, value, mask=mask, bias=bias, scale=1.0)
        h = h + self.proj(attended.reshape(*x.shape[:2], -1)).astype(jnp.float32)
        x = self.mlp_norm(h)
        inside = self.mlp_in(x)
        if self.gated:
            inside = jax.nn.gelu(self.mlp_gate(x), approximate=True) * inside
        else:
            inside = jax.nn.relu(inside)
        return h + self.mlp_out(inside).astype(jnp.float32)


class _Encoder(nnx.Module):
    def __init__(self, config: T5Config, dtype: jnp.dtype, rngs: nnx.Rngs):
        def table(rows: int, columns: int) -> Any:
            return nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), (rows, columns), dtype))

        self.config = config
        self.token_embedding = table(config.vocab_size, config.width)
        self.relative_bias = table(config.buckets, config.heads)
        self.blocks = layers.module_list(_Block(config, dtype, rngs) for _ in range(config.layers))
        self.final_norm = _Norm(config.width, dtype)

    def __call__(self, tokens: Array, mask: Array) -> Array:
        """See `PureEncoder.apply`."""
        places = np.arange(tokens.shape[1])
        apart = places[None, :] - places[:, None]
        buckets = relative_buckets(apart, self.config.buckets, self.config.max_distance)
        bias = self.relative_bias[...][buckets].astype(jnp.float32)
        bias = jnp.moveaxis(bias, 2, 0)[None]
        h = self.token_embedding[...][tokens].astype(jnp.float32)
        before = h
        for block in self.blocks:
            before, h = h, _after(before, block)(h, mask, bias)
        return self.final_norm(h)


def _after(earlier: Array, block: _Block) -> _Block:
    """The block, whose weights can't be gathered from the mesh until `earlier` is computed.

    XLA would otherwise gather all blocks' weights at the start, and each device hold the model.
    With the hidden state of a block earlier, one block's are gathered while another computes.
    """
    graph, weights = nnx.split(block)
    weights, _ = jax.lax.optimization_barrier((weights, earlier))
    return nnx.merge(graph, weights)
