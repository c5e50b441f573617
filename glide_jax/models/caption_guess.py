"""A picture guessed from its caption alone: what a text transformer learns its words by.

A U-Net that begins to learn next to an untrained text transformer teaches it whatever explains most
of the error, the ground before all, and the other words' vectors fall together. Here the picture's
mean, given the caption, is all there is to learn: every word counts, at a hundredth of the cost.

It is guessed twice, since a U-Net is told a caption twice:

    pooled ─ hidden ─────────────────────────────────── all pixels
    tokens ─ keys, values ─ attention ─ hidden ─ the pixels of each patch
    a query for each patch ────┘

The patches' queries find out which word belongs to which, and where it stands; what the tokens then
know of each other, the pooled vector gathers. Alone it would be long in learning that.
"""

import math

import einops
import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import GlideConfig
from glide_jax.models import layers
from glide_jax.models.attention import attend
from glide_jax.models.model import IMAGE_CHANNELS, Conditional, Encoded, Model, from_module
from glide_jax.models.text_transformer import TextTransformer
from glide_jax.types import Array, Condition

_PATCH = 4  # pixels a side, or as many of them as divide the picture


class CaptionGuess(Conditional):
    """The text transformer, and what makes a picture of each of its results."""

    def __init__(
        self, config: GlideConfig, text_shape: tuple[int, int], hidden_width: int, rngs: nnx.Rngs
    ):
        dtype, width, pooled = jnp.dtype(config.dtype), config.text_width, 4 * config.channels
        self.size, self.num_heads = config.image_size, config.text_heads
        self.patch = math.gcd(config.image_size, _PATCH)
        self.text = TextTransformer(config, text_shape, pooled, dtype, rngs)

        def pixels(width_in: int, size: int):
            hidden = layers.linear(width_in, hidden_width, dtype, rngs)
            float32 = jnp.dtype(jnp.float32)
            out = layers.linear(hidden_width, IMAGE_CHANNELS * size**2, float32, rngs, zero=True)
            return nnx.List([hidden, out])

        self.of_pooled = pixels(pooled, config.image_size)
        self.of_patch = pixels(width, self.patch)
        num_patches = (config.image_size // self.patch) ** 2
        self.queries = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), (num_patches, width)))
        self.query = layers.linear(width, width, dtype, rngs)
        self.kv = layers.linear(width, 2 * width, dtype, rngs)

    def encode(self, condition: Condition) -> Encoded:
        """See `Encoded`. Raises ValueError where there is no caption."""
        if condition.tokens is None or condition.mask is None:
            raise ValueError("to guess a picture takes tokens and their mask")
        pooled, tokens = self.text(condition.tokens, condition.mask)
        return Encoded(pooled, tokens, None, None)

    def __call__(self, x_t: Array, t: Array, encoded: Encoded, keys: Array | None) -> Array:
        """f32[2 b h w 3]: x_0 as guessed from pooled and from tokens, whatever x_t and t are."""
        assert encoded.pooled is not None
        assert encoded.tokens is not None
        whole = _through(self.of_pooled, encoded.pooled)
        patches = _through(self.of_patch, self._found(encoded.tokens))
        side = {"h": self.size // self.patch, "i": self.patch, "j": self.patch}
        return jnp.stack(
            [
                einops.rearrange(whole, "b (h w c) -> b h w c", h=self.size, w=self.size),
                einops.rearrange(patches, "b (h w) (i j c) -> b (h i) (w j) c", **side),
            ]
        )

    def _found(self, tokens: Array) -> Array:
        """What each patch finds among the tokens: [b l c] → [b patches c]."""
        heads = {"b": len(tokens), "heads": self.num_heads}
        queries = self.queries[...]
        asked = einops.repeat(self.query(queries), "n (heads d) -> b n heads d", **heads)
        split = "b l (kv heads d) -> kv b l heads d"
        keys, values = einops.rearrange(self.kv(tokens), split, kv=2, heads=self.num_heads)
        found = einops.rearrange(attend(asked, keys, values), "b n heads d -> b n (heads d)")
        return found + queries[None].astype(found.dtype)


def _through(pixels: nnx.List, h: Array) -> Array:
    hidden, out = pixels
    return out(jax.nn.gelu(hidden(h), approximate=False))


def caption_guess(
    config: GlideConfig, *, hidden_width: int, vocab_size: int, text_length: int
) -> Model:
    """The model of `text_pretraining`; its `apply` gives two pictures, see `CaptionGuess`.

    Args:
        config: of the model whose text transformer this is: its weights have the same names.
        hidden_width: channels of the hidden layers.
        vocab_size: of the tokenizer.
        text_length: tokens a caption is padded or cut to.

    Returns:
        The model; no weight is made yet.
    """
    shape = (vocab_size, text_length)
    return from_module(config, lambda rngs: CaptionGuess(config, shape, hidden_width, rngs))
