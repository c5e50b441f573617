"""Pool an image into one vector by attention."""

import einops
import jax.numpy as jnp
from flax import nnx

from glide_jax.models import kernels, layers
from glide_jax.types import Array


class AttentionPool(nnx.Module):
    """The pixels' mean attends to itself and to every pixel (Radford et al. 2021, sec. 2.4)."""

    def __init__(self, width: int, num_pixels: int, num_heads: int, width_out: int, rngs: nnx.Rngs):
        float32 = jnp.dtype(jnp.float32)
        normal = nnx.initializers.normal(width**-0.5)
        self.num_heads = num_heads
        self.positional_embedding = nnx.Param(normal(rngs.params(), (1 + num_pixels, width)))
        self.qkv = layers.linear(width, 3 * width, float32, rngs)
        self.proj = layers.linear(width, width_out, float32, rngs)

    def __call__(self, x: Array) -> Array:
        """x: f32[b h w c] → f32[b width_out]."""
        pixels = einops.rearrange(x, "b h w c -> b (h w) c")
        tokens = jnp.concatenate([pixels.mean(1, keepdims=True), pixels], axis=1)
        tokens = tokens + self.positional_embedding[...][None]
        query, keys, values = einops.rearrange(
            self.qkv(tokens), "b n (heads qkv d) -> qkv b n heads d", qkv=3, heads=self.num_heads
        )
        pooled = kernels.attention(query[:, :1], keys, values)
        return self.proj(einops.rearrange(pooled, "b 1 heads d -> b (heads d)"))
