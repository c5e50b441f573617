"""What an Imagen model reads of a frozen encoder's output: a vector, and a sequence.

    text_embedding ─┬─ pool ─────→ pooled
                    └─ project ──→ tokens

The paper and DeepFloyd IF have no more than this. With `text_layers` a transformer comes between:

    text_embedding ─ norm ─ project ─ + positions ─ blocks ─ norm ─┬─ pool ─→ pooled
                                                                   └────────→ tokens

An encoder that was trained to place whole sentences, as MiniLM was, hardly says any more which word
belongs to which, nor where each of them was; the blocks find out (docs/imagen.md has the figures).
"""

import jax.numpy as jnp
from flax import nnx

from glide_jax.config import ImagenConfig
from glide_jax.models import layers
from glide_jax.models.remat import remat
from glide_jax.models.text_pool import TextPool
from glide_jax.models.text_transformer import TransformerBlock, positions
from glide_jax.types import Array, Condition


class ImagenText(nnx.Module):
    """Pools the text, projects it, and refines it where the config says so."""

    def __init__(self, config: ImagenConfig, rngs: nnx.Rngs):
        self.config, self.dtype = config, jnp.dtype(config.dtype)
        width = config.text_width if config.text_layers else config.encoder_width
        self.pool = TextPool(width, config.pool_heads, config.time_width, rngs)
        if config.text_layers:
            self.in_norm = layers.LayerNorm(config.encoder_width)
        if config.encoder_width != config.text_width:
            self.proj = layers.linear(config.encoder_width, config.text_width, self.dtype, rngs)
        self.blocks = layers.module_list(
            TransformerBlock(config.text_width, config.pool_heads, self.dtype, rngs)
            for _ in range(config.text_layers)
        )
        if config.text_layers:
            self.final_norm = layers.LayerNorm(config.text_width)

    def __call__(self, condition: Condition) -> tuple[Array, Array, Array | None]:
        """Read a condition's `text_embedding` and, where padding is masked, its `mask`.

        Returns:
            pooled: f32[b time_width]; tokens: [b l text_width]; mask: bool[b l], True where a token
            may be attended to, or None: all may.

        Raises:
            ValueError: the condition lacks them, or they are another encoder's.
        """
        text, config = condition.text_embedding, self.config
        if text is None:
            raise ValueError("an Imagen model needs a text_embedding")
        if text.shape[-1] != config.encoder_width:
            widths = f"{text.shape[-1]} channels, not {config.encoder_width}"
            raise ValueError(f"the text_embedding is another encoder's: it has {widths}")
        masked = config.text_mask == "masked"
        if masked and condition.mask is None:
            raise ValueError("this model masks padding: it needs the text_embedding's mask")
        mask = condition.mask if masked else None
        if not config.text_layers:
            tokens = self._projected(text.astype(self.dtype))
            return self.pool(text.astype(jnp.float32), mask), tokens, mask
        tokens = self._projected(self.in_norm(text.astype(self.dtype)))
        tokens += positions(text.shape[1], config.text_width)[None].astype(self.dtype)
        for block in self.blocks:
            tokens = remat(config.remat, block)(tokens, mask)
        tokens = self.final_norm(tokens)
        return self.pool(tokens.astype(jnp.float32), mask), tokens, mask

    def _projected(self, text: Array) -> Array:
        """[b l encoder_width] → [b l text_width]."""
        return text if self.config.encoder_width == self.config.text_width else self.proj(text)
