"""A picture guessed from its caption alone: what a text transformer learns its words by.

A U-Net that begins to learn next to an untrained text transformer teaches it whatever explains most
of the error, the ground before all, and the other words' vectors fall together. Here the picture's
mean, given the caption, is all there is to learn: every word counts, at a hundredth of the cost.

It is guessed twice, as a U-Net is told a caption twice; patch by patch, and both times through the
same layers:

    tokens ─ keys, values ─ attention ─┐
    a query for each patch ────┘       ├─ what each patch shows ─ hidden ─ its pixels
    pooled ─ linear ───────────────────┘

The patches' queries find out which word belongs to which, and where it stands. What they find is
then an answer that the pooled vector can be held against; and as one linear layer must read it off
for each patch, shape, colour and place lie side by side in that vector, where a U-Net can use them.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import einops
import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import GlideConfig
from glide_jax.models import layers
from glide_jax.models.attention import attend
from glide_jax.models.model import IMAGE_CHANNELS
from glide_jax.models.pure import Pure
from glide_jax.models.text_transformer import TextTransformer
from glide_jax.types import Array, Params

_PATCH = 4  # pixels a side, or as many of them as divide the picture


class Guess(NamedTuple):
    """A caption's picture, from its pooled vector and from its tokens.

    Attributes:
        pooled: f32[b 4·channels], the caption's vector.
        shown: f32[2 b patches text_width], what each patch shows.
        pictures: f32[2 b h w 3], what that looks like.
    """

    pooled: Array
    shown: Array
    pictures: Array


@dataclasses.dataclass(frozen=True)
class CaptionGuesser:
    """The lesson's model, as pure functions of its weights.

    Attributes:
        config: of the model whose text transformer it has: its weights have the same names.
        shapes: every weight's name, shape and dtype.
        init: key → params.
        apply: (params, tokens: i32[b l], mask: bool[b l]) → Guess.
    """

    config: GlideConfig
    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    apply: Callable[[Params, Array, Array], Guess]


class _CaptionGuess(nnx.Module):
    """The text transformer, and what makes a picture of each of its results."""

    def __init__(
        self, config: GlideConfig, text_shape: tuple[int, int], hidden_width: int, rngs: nnx.Rngs
    ):
        dtype, width, pooled = jnp.dtype(config.dtype), config.text_width, 4 * config.channels
        float32 = jnp.dtype(jnp.float32)
        self.num_heads = config.text_heads
        self.patch = math.gcd(config.image_size, _PATCH)
        self.side = config.image_size // self.patch
        self.text = TextTransformer(config, text_shape, pooled, dtype, rngs)
        shape = (self.side**2, width)
        self.queries = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), shape))
        self.query = layers.linear(width, width, dtype, rngs)
        self.kv = layers.linear(width, 2 * width, dtype, rngs)
        self.of_pooled = layers.linear(pooled, self.side**2 * width, dtype, rngs)
        self.hidden = layers.linear(width, hidden_width, dtype, rngs)
        pixels = IMAGE_CHANNELS * self.patch**2
        self.pixels = layers.linear(hidden_width, pixels, float32, rngs, zero=True)

    def __call__(self, tokens: Array, mask: Array) -> Guess:
        """See `CaptionGuesser.apply`."""
        pooled, encoded = self.text(tokens, mask)
        by_patch = einops.rearrange(
            self.of_pooled(pooled), "b (n c) -> b n c", n=len(self.queries[...])
        )
        shown = jnp.stack([by_patch, self._found(encoded)]) + self.queries[...][None, None]
        pixels = self.pixels(jax.nn.gelu(self.hidden(shown), approximate=False))
        side = {"h": self.side, "i": self.patch, "j": self.patch}
        pictures = einops.rearrange(pixels, "k b (h w) (i j c) -> k b (h i) (w j) c", **side)
        return Guess(pooled, shown, pictures)

    def _found(self, tokens: Array) -> Array:
        """What each patch finds among the tokens: [b l c] → [b patches c]."""
        heads = {"b": len(tokens), "heads": self.num_heads}
        asked = einops.repeat(self.query(self.queries[...]), "n (heads d) -> b n heads d", **heads)
        split = "b l (kv heads d) -> kv b l heads d"
        keys, values = einops.rearrange(self.kv(tokens), split, kv=2, heads=self.num_heads)
        return einops.rearrange(attend(asked, keys, values), "b n heads d -> b n (heads d)")


def caption_guess(
    config: GlideConfig, *, hidden_width: int, vocab_size: int, text_length: int
) -> CaptionGuesser:
    """The model of `text_pretraining`.

    Args:
        config: of the model whose text transformer this is.
        hidden_width: channels between what a patch shows and its pixels.
        vocab_size: of the tokenizer.
        text_length: tokens a caption is padded or cut to.

    Returns:
        The model; no weight is made yet.
    """
    shape = (vocab_size, text_length)
    pure = Pure(lambda rngs: _CaptionGuess(config, shape, hidden_width, rngs))

    def apply(params: Params, tokens: Array, mask: Array) -> Guess:
        return pure.bind(params)(tokens, mask)

    return CaptionGuesser(config, pure.shapes, pure.init, apply)
