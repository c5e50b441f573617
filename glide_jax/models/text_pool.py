"""Pool a caption's embedding into one vector by attention."""

import einops
import jax.numpy as jnp
from flax import nnx

from glide_jax.models import kernels, layers
from glide_jax.types import Array


class TextPool(nnx.Module):
    """LayerNorm, attention of one query, a dense layer, LayerNorm.

    The query is the tokens' mean plus a learned vector; it attends to itself and to every token.
    """

    def __init__(self, width: int, num_heads: int, width_out: int, rngs: nnx.Rngs):
        float32 = jnp.dtype(jnp.float32)
        normal = nnx.initializers.normal(width**-0.5)
        self.num_heads = num_heads
        self.in_norm = layers.LayerNorm(width)
        self.positional_embedding = nnx.Param(normal(rngs.params(), (1, width)))
        self.query = layers.linear(width, width, float32, rngs)
        self.key = layers.linear(width, width, float32, rngs)
        self.value = layers.linear(width, width, float32, rngs)
        self.proj = layers.linear(width, width_out, float32, rngs)
        self.out_norm = layers.LayerNorm(width_out)

    def __call__(self, text: Array, mask: Array | None) -> Array:
        """Pool.

        Args:
            text: f32[b l width].
            mask: bool[b l], True where a token is pooled; None: all are.

        Returns:
            f32[b width_out].
        """
        tokens = self.in_norm(text)
        query = _mean(tokens, mask) + self.positional_embedding[...][None]
        tokens = jnp.concatenate([query, tokens], axis=1)
        if mask is not None:
            mask = jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)
        pooled = kernels.attention(
            self._heads(self.query(query)),
            self._heads(self.key(tokens)),
            self._heads(self.value(tokens)),
            mask=mask,
        )
        pooled = self.proj(einops.rearrange(pooled, "b l heads d -> b l (heads d)"))
        return self.out_norm(pooled)[:, 0]

    def _heads(self, x: Array) -> Array:
        return einops.rearrange(x, "b l (heads d) -> b l heads d", heads=self.num_heads)


def _mean(tokens: Array, mask: Array | None) -> Array:
    """[b l c] → [b 1 c], over the tokens that are not masked; 0 where all are."""
    if mask is None:
        return tokens.mean(1, keepdims=True)
    kept = mask[..., None].astype(tokens.dtype)
    return (tokens * kept).sum(1, keepdims=True) / jnp.maximum(kept.sum(1, keepdims=True), 1)
