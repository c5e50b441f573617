"""BERT's encoder (Devlin et al. 2018), of any size, MiniLM's (Wang et al. 2020) for example.

    tokens ─ embedding + position + type 0 ─ norm ─ norm(h + attention(h)) ─ norm(h + mlp(h)) ─ …

Sums, norms and softmax are in float32; matrix products in the dtype of the weights.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.models import kernels, layers
from glide_jax.models.pure import PureEncoder, pure_encoder
from glide_jax.types import Array

NORM_EPSILON = 1e-12


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """Sizes of an encoder.

    Attributes:
        vocab_size: rows of the embedding table.
        width: channels of h and of the result.
        layers: number of blocks.
        heads: of attention, of width / heads channels each.
        mlp_width: channels inside an MLP.
        positions: the largest number of tokens.
        token_types: rows of the table of types; a caption's tokens are all of type 0.
    """

    vocab_size: int
    width: int
    layers: int
    heads: int
    mlp_width: int
    positions: int
    token_types: int


def bert(config: BertConfig, *, dtype: str) -> PureEncoder:
    """An encoder of any size; no weights are created.

    Args:
        config: its sizes.
        dtype: of the weights and of matrix products.

    Returns:
        The encoder, of at most `positions` tokens.
    """
    kind = jnp.dtype(dtype)
    return pure_encoder(config, kind, lambda rngs: _Encoder(config, kind, rngs))


class _Norm(nnx.Module):
    """Layer normalisation of the last axis (Ba et al. 2016), in float32, at BERT's epsilon."""

    def __init__(self, width: int, dtype: jnp.dtype):
        self.scale = nnx.Param(jnp.ones(width, dtype))
        self.bias = nnx.Param(jnp.zeros(width, dtype))

    def __call__(self, h: Array) -> Array:
        """f32[b l c] → the same shape and dtype."""
        centred = h - h.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        normed = centred * jax.lax.rsqrt(variance + NORM_EPSILON)
        scale, bias = (x[...].astype(jnp.float32)[None, None] for x in (self.scale, self.bias))
        return normed * scale + bias


class _Block(nnx.Module):
    """norm(h + attention(h)), then norm(h + mlp(h))."""

    def __init__(self, config: BertConfig, dtype: jnp.dtype, rngs: nnx.Rngs):
        def linear(width_in: int, width_out: int) -> nnx.Linear:
            return nnx.Linear(width_in, width_out, dtype=dtype, param_dtype=dtype, rngs=rngs)

        width = config.width
        self.heads = config.heads
        self.query = linear(width, width)
        self.key = linear(width, width)
        self.value = linear(width, width)
        self.proj = linear(width, width)
        self.attention_norm = _Norm(width, dtype)
        self.mlp_in = linear(width, config.mlp_width)
        self.mlp_out = linear(config.mlp_width, width)
        self.mlp_norm = _Norm(width, dtype)

    def __call__(self, h: Array, mask: Array) -> Array:
        """h: f32[b l c], mask: bool[b l] → f32[b l c]."""
        b, length, _ = h.shape
        query, key, value = (
            layer(h).reshape(b, length, self.heads, -1)
            for layer in (self.query, self.key, self.value)
        )
        attended = kernels.attention(query, key, value, mask=mask).reshape(b, length, -1)
        h = self.attention_norm(h + self.proj(attended).astype(jnp.float32))
        inside = jax.nn.gelu(self.mlp_in(h), approximate=False)
        return self.mlp_norm(h + self.mlp_out(inside).astype(jnp.float32))


class _Encoder(nnx.Module):
    def __init__(self, config: BertConfig, dtype: jnp.dtype, rngs: nnx.Rngs):
        def table(rows: int) -> Any:
            initial = nnx.initializers.normal(0.02)(rngs.params(), (rows, config.width), dtype)
            return nnx.Param(initial)

        self.dtype = dtype
        self.token_embedding = table(config.vocab_size)
        self.position_embedding = table(config.positions)
        self.type_embedding = table(config.token_types)
        self.embedding_norm = _Norm(config.width, dtype)
        self.blocks = layers.module_list(_Block(config, dtype, rngs) for _ in range(config.layers))

    def __call__(self, tokens: Array, mask: Array) -> Array:
        """See `PureEncoder.apply`. Raises ValueError for more tokens than positions."""
        length, positions = tokens.shape[1], self.position_embedding[...]
        if length > len(positions):
            raise ValueError(f"{length} tokens, and {len(positions)} positions")
        token = self.token_embedding[...][tokens].astype(jnp.float32)
        place = positions[:length] + self.type_embedding[...][:1]
        h = self.embedding_norm(token + place.astype(jnp.float32)[None])
        for block in self.blocks:
            h = block(h, mask)
        return h.astype(self.dtype)
