"""The U-Nets' attention block: pixels attend to the caption's tokens, and most to pixels."""

import einops
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import UNetConfig
from glide_jax.models import kernels, layers
from glide_jax.models.design import Design
from glide_jax.types import Array

KeysValues = tuple[Array, Array]
"""Keys and values, [b m heads d] each."""


class AttentionBlock(nnx.Module):
    """x + proj(attention(norm(x))), over the caption's keys, then the pixels' own.

    `text_only`: over the caption's alone.
    """

    def __init__(
        self,
        width: int,
        config: UNetConfig,
        design: Design,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
        *,
        text_only: bool,
    ):
        self.design = design
        self.text_only = text_only
        self.num_heads = config.num_heads_of(width)
        self.norm = layers.GroupNorm(width, config.norm_groups)
        if text_only:
            self.query = layers.linear(width, width, dtype, rngs)
        else:
            self.qkv = layers.linear(width, 3 * width, dtype, rngs)
        if design.text_width:
            self.text_kv = layers.linear(design.text_width, 2 * width, dtype, rngs)
        if design.text_norm == "group":
            self.text_norm = layers.GroupNorm(design.text_width, config.norm_groups)
        elif design.text_norm == "layer":
            self.text_norm = layers.LayerNorm(design.text_width)
        self.proj = layers.linear(width, width, dtype, rngs, zero=True)

    def text_keys_values(self, text: Array) -> KeysValues:
        """The caption's keys and values, which are the same at every step.

        Args:
            text: [b l text_width].

        Returns:
            [b l heads d] each.
        """
        if self.design.text_norm != "none":
            text = self.text_norm(text)
        # The published weights have the heads' axis first.
        keys, values = einops.rearrange(
            self.text_kv(text), "b l (heads kv d) -> kv b l heads d", kv=2, heads=self.num_heads
        )
        return keys, values

    def __call__(self, x: Array, text: KeysValues | None, text_mask: Array | None = None) -> Array:
        """Attend.

        Args:
            x: [b h w c].
            text: what `text_keys_values` returned; None in a model without text.
            text_mask: bool[b l], True where a token is attended to; None: all are.

        Returns:
            [b h w c].
        """
        query, keys, values = self._query_keys_values(self.norm(x), text)
        mask = text_mask
        if mask is not None and not self.text_only:
            mask = jnp.pad(mask, ((0, 0), (0, query.shape[1])), constant_values=True)
        attended = kernels.attention(query, keys, values, mask=mask)
        return self.design.attention_sum(x, self.proj(attended.reshape(x.shape)))

    def _query_keys_values(self, h: Array, text: KeysValues | None) -> tuple[Array, Array, Array]:
        if self.text_only:
            if text is None:
                raise ValueError("pixels that attend to the text alone need a text")
            heads = "b h w (heads d) -> b (h w) heads d"
            return einops.rearrange(self.query(h), heads, heads=self.num_heads), *text
        pixels = "b h w (heads qkv d) -> qkv b (h w) heads d"
        query, keys, values = einops.rearrange(self.qkv(h), pixels, qkv=3, heads=self.num_heads)
        if text is not None:
            keys = jnp.concatenate([text[0], keys], axis=1)
            values = jnp.concatenate([text[1], values], axis=1)
        return query, keys, values
