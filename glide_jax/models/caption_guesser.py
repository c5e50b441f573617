"""The model of text-encoder pretraining: it predicts an image from its caption alone.

A U-Net that is trained together with an untrained text transformer first teaches it whatever
reduces the error most, the background, and the vectors of all other words collapse. Here the mean
of a caption's images is all there is to learn: every word counts, at a hundredth of the cost.

The image is predicted twice, since a U-Net receives a caption twice, from its pooled vector and
from its tokens. Both predictions are made patch by patch and share the last layers:

    tokens ─ keys, values ─ attention ─┐
    a query for each patch ────┘       ├─ patch features ─ hidden ─ pixels of each patch
    pooled ─ linear ───────────────────┘

The caption is read by the part of the model that is to be pretrained: GLIDE's text transformer, or
what an Imagen model makes of a frozen encoder's output.

The patches' queries learn which word belongs to which, and where its object is. What they find is
then a target for the pooled vector; and since one linear layer must read it out for each patch,
shape, colour and place become separate directions of that vector, where a U-Net can use them.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import einops
import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import GlideConfig, ImagenConfig
from glide_jax.models import kernels, layers
from glide_jax.models.imagen_text import ImagenText
from glide_jax.models.model import IMAGE_CHANNELS
from glide_jax.models.pure import Pure
from glide_jax.models.text_transformer import TextTransformer
from glide_jax.types import Array, Condition, Params

_PATCH = 4  # pixels a side, or as many of them as divide the image


class Guess(NamedTuple):
    """Two predictions of a caption's image: from its pooled vector, then from its tokens.

    Attributes:
        pooled: f32[b c], the caption's vector.
        patch_features: f32[2 b patches text_width].
        images: f32[2 b h w 3], about [-1, 1].
    """

    pooled: Array
    patch_features: Array
    images: Array


@dataclasses.dataclass(frozen=True)
class CaptionGuesser:
    """The model of text-encoder pretraining as pure functions of its weights.

    Attributes:
        config: of the model whose reading of captions it trains, under the same names.
        shapes: every weight's name, shape and dtype.
        init: key → params.
        apply: (params, condition, of captions alone) → Guess.
    """

    config: GlideConfig | ImagenConfig
    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    apply: Callable[[Params, Condition], Guess]


class _CaptionGuess(nnx.Module):
    """What reads the caption, and layers that make an image of each of its two results."""

    def __init__(
        self,
        config: GlideConfig | ImagenConfig,
        text_shape: tuple[int, int],
        hidden_width: int,
        rngs: nnx.Rngs,
    ):
        dtype, width = jnp.dtype(config.dtype), config.text_width
        float32 = jnp.dtype(jnp.float32)
        self.patch = math.gcd(config.image_size, _PATCH)
        self.side = config.image_size // self.patch
        if isinstance(config, ImagenConfig):
            self.text = ImagenText(config, rngs)
            pooled, self.num_heads = config.time_width, config.pool_heads
        else:
            pooled, self.num_heads = 4 * config.channels, config.text_heads
            self.text = TextTransformer(config, text_shape, pooled, dtype, rngs)
        shape = (self.side**2, width)
        self.queries = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), shape))
        self.query = layers.linear(width, width, dtype, rngs)
        self.kv = layers.linear(width, 2 * width, dtype, rngs)
        self.of_pooled = layers.linear(pooled, self.side**2 * width, dtype, rngs)
        self.hidden = layers.linear(width, hidden_width, dtype, rngs)
        pixels = IMAGE_CHANNELS * self.patch**2
        self.pixels = layers.linear(hidden_width, pixels, float32, rngs, zero=True)

    def __call__(self, condition: Condition) -> Guess:
        """See `CaptionGuesser.apply`."""
        pooled, tokens, mask = self.text(condition)
        by_patch = einops.rearrange(
            self.of_pooled(pooled), "b (n c) -> b n c", n=len(self.queries[...])
        )
        found = jnp.stack([by_patch, self._attended(tokens, mask)])
        features = found + self.queries[...][None, None]
        pixels = self.pixels(jax.nn.gelu(self.hidden(features), approximate=False))
        side = {"h": self.side, "i": self.patch, "j": self.patch}
        images = einops.rearrange(pixels, "k b (h w) (i j c) -> k b (h i) (w j) c", **side)
        return Guess(pooled, features, images)

    def _attended(self, tokens: Array, mask: Array | None) -> Array:
        """Each patch's query attends to the tokens: [b l c] → [b patches c]."""
        heads = {"b": len(tokens), "heads": self.num_heads}
        query = einops.repeat(self.query(self.queries[...]), "n (heads d) -> b n heads d", **heads)
        split = "b l (kv heads d) -> kv b l heads d"
        keys, values = einops.rearrange(self.kv(tokens), split, kv=2, heads=self.num_heads)
        attended = kernels.attention(query, keys, values, mask=mask)
        return einops.rearrange(attended, "b n heads d -> b n (heads d)")


def caption_guesser(
    config: GlideConfig | ImagenConfig, *, hidden_width: int, vocab_size: int, text_length: int
) -> CaptionGuesser:
    """The model of `text_pretraining`.

    Args:
        config: of the model whose reading of captions this is.
        hidden_width: channels of the layer between a patch's features and its pixels.
        vocab_size: of the tokenizer; an Imagen model has none.
        text_length: tokens a caption is padded or cut to.

    Returns:
        The model; no weights are created.
    """
    shape = (vocab_size, text_length)
    pure = Pure(lambda rngs: _CaptionGuess(config, shape, hidden_width, rngs))

    def apply(params: Params, condition: Condition) -> Guess:
        return pure.bind(params)(condition)

    return CaptionGuesser(config, pure.shapes, pure.init, apply)
