"""GLIDE's text encoder: a pre-norm transformer in which every token attends to all."""

import math

import einops
import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import GlideConfig
from glide_jax.models import kernels, layers
from glide_jax.models.remat import remat
from glide_jax.types import Array, Condition


class TransformerBlock(nnx.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, num_heads: int, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.num_heads = num_heads
        self.attention_norm = layers.LayerNorm(width)
        self.qkv = layers.linear(width, 3 * width, dtype, rngs)
        self.proj = layers.linear(width, width, dtype, rngs)
        self.mlp_norm = layers.LayerNorm(width)
        self.mlp_in = layers.linear(width, 4 * width, dtype, rngs)
        self.mlp_out = layers.linear(4 * width, width, dtype, rngs)

    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        """x: [b l c], mask: bool[b l], True where a token may be attended to → x's shape."""
        query, keys, values = einops.rearrange(
            self.qkv(self.attention_norm(x)),
            "b l (heads qkv d) -> qkv b l heads d",
            qkv=3,
            heads=self.num_heads,
        )
        x = x + self.proj(kernels.attention(query, keys, values, mask=mask).reshape(x.shape))
        return x + self.mlp_out(jax.nn.gelu(self.mlp_in(self.mlp_norm(x)), approximate=False))


def positions(length: int, width: int) -> Array:
    """A positional embedding, f32[length width]: sinusoids of std 1, periods 2π to 200π.

    The distance between two words can then be read off from the first step on.
    """
    places = jnp.arange(length, dtype=jnp.float32)
    return math.sqrt(2) * layers.sinusoids(places, width, longest=100.0)


class TextTransformer(nnx.Module):
    """Token ids → a vector for each token, and one for the caption (GLIDE, sec. 4.1)."""

    def __init__(
        self,
        config: GlideConfig,
        text_shape: tuple[int, int],
        pooled_width: int,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        (vocab_size, length), width = text_shape, config.text_width

        def embedding(std: float, rows: int) -> nnx.Param:
            return nnx.Param(nnx.initializers.normal(std)(rngs.params(), (rows, width)))

        self.dtype = dtype
        self.remat = config.remat
        # Padding carries no information. With 0.02 for all three a small model does not learn to
        # use the caption, and with faint positions it confuses which word belongs to which
        # (docs/quickstart.md).
        self.token_embedding = embedding(1.0, vocab_size)
        self.positional_embedding = nnx.Param(positions(length, width))
        if config.text_padding:
            self.padding_embedding = embedding(0.01, length)
        self.blocks = layers.module_list(
            TransformerBlock(width, config.text_heads, dtype, rngs)
            for _ in range(config.text_layers)
        )
        if config.text_final_norm:
            self.final_norm = layers.LayerNorm(width)
        self.pooled = layers.linear(width, pooled_width, jnp.dtype(jnp.float32), rngs)
        self.has_padding = config.text_padding
        self.has_final_norm = config.text_final_norm

    def __call__(self, condition: Condition) -> tuple[Array, Array, None]:
        """Encode a condition's `tokens`; where its `mask` is False a learned vector replaces them.

        Returns:
            pooled: f32[b pooled_width], from the last position; tokens: [b l text_width]; and no
            mask: padding is attended to.

        Raises:
            ValueError: the condition lacks tokens or mask.
        """
        tokens, mask = condition.tokens, condition.mask
        if tokens is None or mask is None:
            raise ValueError("a GLIDE model needs tokens and their mask")
        h = self.token_embedding[...][tokens] + self.positional_embedding[...][None]
        if self.has_padding:
            h = jnp.where(mask[..., None], h, self.padding_embedding[...][None])
        h = h.astype(self.dtype)
        for block in self.blocks:
            h = remat(self.remat, block)(h)
        if self.has_final_norm:
            h = self.final_norm(h)
        return self.pooled(h[:, -1]), h, None
