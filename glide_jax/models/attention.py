"""The U-Nets' attention block: pixels attend to pixels and to the caption's tokens."""

import einops
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import UNetConfig
from glide_jax.models import kernels, layers
from glide_jax.types import Array

KeysValues = tuple[Array, Array]
"""Keys and values, [b m heads d] each."""


class AttentionBlock(nnx.Module):
    """x + proj(attention(norm(x))), over the caption's keys, then the pixels' own."""

    def __init__(
        self, width: int, config: UNetConfig, text_width: int, dtype: jnp.dtype, rngs: nnx.Rngs
    ):
        """`text_width`: channels of the caption's encoded tokens; 0: a model without text."""
        self.num_heads = config.num_heads_of(width)
        self.norm = layers.GroupNorm(width, config.norm_groups)
        self.qkv = layers.linear(width, 3 * width, dtype, rngs)
        if text_width:
            self.text_kv = layers.linear(text_width, 2 * width, dtype, rngs)
        self.proj = layers.linear(width, width, dtype, rngs, zero=True)

    def text_keys_values(self, text: Array) -> KeysValues:
        """The caption's keys and values, which are the same at every step.

        Args:
            text: [b l text_width].

        Returns:
            [b l heads d] each.
        """
        # The published weights have the heads' axis first.
        keys, values = einops.rearrange(
            self.text_kv(text), "b l (heads kv d) -> kv b l heads d", kv=2, heads=self.num_heads
        )
        return keys, values

    def __call__(self, x: Array, text: KeysValues | None) -> Array:
        """x: [b h w c], text: what `text_keys_values` returned, or None → [b h w c]."""
        pixels = "b h w (heads qkv d) -> qkv b (h w) heads d"
        query, keys, values = einops.rearrange(
            self.qkv(self.norm(x)), pixels, qkv=3, heads=self.num_heads
        )
        if text is not None:
            keys = jnp.concatenate([text[0], keys], axis=1)
            values = jnp.concatenate([text[1], values], axis=1)
        return x + self.proj(kernels.attention(query, keys, values).reshape(x.shape))
