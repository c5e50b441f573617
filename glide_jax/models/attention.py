"""Attention over pixels, with the caption's tokens among the keys where there is one."""

import einops
import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import UNetConfig
from glide_jax.models import layers
from glide_jax.types import Array

KeysValues = tuple[Array, Array]


def attend(query: Array, keys: Array, values: Array) -> Array:
    """softmax(q kᵀ / √d) v, the softmax in float32 (Vaswani et al. 2017, eq. 1).

    Args:
        query: [b n heads d].
        keys: [b m heads d].
        values: [b m heads d].

    Returns:
        [b n heads d].
    """
    return jax.nn.dot_product_attention(query, keys, values)


class AttentionBlock(nnx.Module):
    """x + proj(attention(norm(x))); keys and values are the caption's, then the pixels' own."""

    def __init__(
        self, width: int, config: UNetConfig, text_width: int, dtype: jnp.dtype, rngs: nnx.Rngs
    ):
        """`text_width`: channels of the caption's tokens; 0: there is no caption."""
        self.num_heads = config.num_heads_of(width)
        self.norm = layers.GroupNorm(width, config.norm_groups)
        self.qkv = layers.linear(width, 3 * width, dtype, rngs)
        if text_width:
            self.text_kv = layers.linear(text_width, 2 * width, dtype, rngs)
        self.proj = layers.linear(width, width, dtype, rngs, zero=True)

    def text_keys_values(self, text: Array) -> KeysValues:
        """The caption's keys and values, the same at every step. text: [b l text_width]."""
        # Heads outermost, as the published weights have them.
        keys, values = einops.rearrange(
            self.text_kv(text), "b l (heads kv d) -> kv b l heads d", kv=2, heads=self.num_heads
        )
        return keys, values

    def __call__(self, x: Array, text: KeysValues | None) -> Array:
        """x: [b h w c] → the same shape."""
        pixels = "b h w (heads qkv d) -> qkv b (h w) heads d"
        query, keys, values = einops.rearrange(
            self.qkv(self.norm(x)), pixels, qkv=3, heads=self.num_heads
        )
        if text is not None:
            keys = jnp.concatenate([text[0], keys], axis=1)
            values = jnp.concatenate([text[1], values], axis=1)
        return x + self.proj(attend(query, keys, values).reshape(x.shape))
