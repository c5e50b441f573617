"""The noised CLIP that guides GLIDE (Nichol et al. 2021, sec. 2.4): image and caption, one space.

    x_t, t ─ patches, time ─ transformer ──────── the time's position ─→ features ─┐
                                                                                 cosine
    tokens ───── embedded ── causal transformer ─ the caption's last token ─→ features ─┘

Guidance follows the gradient of logit_scale · cosine with respect to x_t. The scale is learned too.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from glide_jax.config import ClipConfig, ClipImageConfig, ClipTextConfig
from glide_jax.config.clip import LARGEST_LOGIT_SCALE
from glide_jax.models import layers
from glide_jax.models.clip_layers import Transformer
from glide_jax.models.pure import Pure
from glide_jax.types import Array, Params

PARTS = "image.", "text."
"""How the paths of its encoders' weights begin."""


LOGIT_SCALE = "logit_scale"
"""The path of the scale's logarithm, which is what is learned (Radford et al. 2021, sec. 2.5)."""

T = TypeVar("T")

# By channel, of pixels from 0 to 255: what the published weights were trained with.
_PIXEL_MEAN = np.array([122.77093945, 116.74601272, 104.09373519], np.float32)
_PIXEL_STD = np.array([68.50053285, 66.63215831, 70.32316309], np.float32)


@dataclasses.dataclass(frozen=True)
class ImageEncoder:
    """The image encoder as pure functions of its weights.

    Attributes:
        config, embedding_width: what it was built from.
        shapes: every weight's name, shape and dtype.
        init: key → params.
        apply: (params, x_t: f32[b h w 3], about [-1, 1] plus noise; t: i32[b] in [0,
            num_timesteps)) → f32[b embedding_width], not normalised.
    """

    config: ClipImageConfig
    embedding_width: int
    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    apply: Callable[[Params, Array, Array], Array]


@dataclasses.dataclass(frozen=True)
class TextEncoder:
    """The text encoder as pure functions of its weights.

    Attributes:
        config, vocab_size, text_length, embedding_width: what it was built from.
        shapes: every weight's name, shape and dtype.
        init: key → params.
        apply: (params, tokens: i32[b l], mask: bool[b l], True where a token is the caption's:
            one or more, then False) → f32[b embedding_width], not normalised.
    """

    config: ClipTextConfig
    vocab_size: int
    text_length: int
    embedding_width: int
    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    apply: Callable[[Params, Array, Array], Array]


@dataclasses.dataclass(frozen=True)
class Clip:
    """Both encoders and the scale. Their params are one dict: `image.…`, `text.…`, `logit_scale`.

    Attributes:
        config: what it was built from.
        image, text: the encoders, whose params `split_params` gives.
        shapes: every weight's name, shape and dtype.
        init: key → params.
        encode_image: (params, x_t, t) → features, as `ImageEncoder.apply`.
        encode_text: (params, tokens, mask) → features, as `TextEncoder.apply`.
        logit_scale: params → f32[] in (0, 100], what multiplies the cosine of the features.
    """

    config: ClipConfig
    image: ImageEncoder
    text: TextEncoder
    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    encode_image: Callable[[Params, Array, Array], Array]
    encode_text: Callable[[Params, Array, Array], Array]
    logit_scale: Callable[[Params], Array]


class _Image(nnx.Module):
    """A vision transformer (Dosovitskiy et al. 2020) whose first token is the timestep's."""

    def __init__(
        self, config: ClipImageConfig, embedding_width: int, dtype: jnp.dtype, rngs: nnx.Rngs
    ):
        width, patch = config.width, config.patch_size
        num_patches = (config.image_size // patch) ** 2
        normal = nnx.initializers.normal(1 / math.sqrt(width))
        self.image_size = config.image_size
        self.width = width
        self.patches = nnx.Conv(
            3,
            width,
            kernel_size=(patch, patch),
            strides=patch,
            padding="VALID",
            use_bias=False,
            dtype=dtype,
            kernel_init=nnx.initializers.normal(math.sqrt(2 / width) / patch),
            rngs=rngs,
        )
        self.time_embedding = nnx.Param(normal(rngs.params(), (config.num_timesteps, width)))
        self.positional_embedding = nnx.Param(normal(rngs.params(), (1 + num_patches, width)))
        self.in_norm = layers.LayerNorm(width)
        self.transformer = Transformer(
            width,
            config.layers,
            config.heads,
            embedding_width,
            causal=False,
            dtype=dtype,
            rngs=rngs,
        )

    def __call__(self, x_t: Array, t: Array) -> Array:
        """See `ImageEncoder.apply`. Raises ValueError for images of another size."""
        b, size = x_t.shape[0], self.image_size
        if x_t.shape != (b, size, size, 3):
            raise ValueError(f"x_t is {x_t.shape}, not (b, {size}, {size}, 3)")
        pixels = (x_t + 1) * 127.5
        pixels = (pixels - _PIXEL_MEAN[None, None, None]) / _PIXEL_STD[None, None, None]
        patches = self.patches(pixels).reshape(b, -1, self.width).astype(jnp.float32)
        time = self.time_embedding[...][t][:, None]
        h = jnp.concatenate([time, patches], axis=1) + self.positional_embedding[...][None]
        return self.transformer(self.in_norm(h), jnp.zeros_like(t))


class _Text(nnx.Module):
    """A causal transformer: the caption's last token attends to all of it, and to no padding."""

    def __init__(
        self,
        config: ClipTextConfig,
        text_shape: tuple[int, int],
        embedding_width: int,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        (vocab_size, length), width = text_shape, config.width
        tokens, positions = nnx.initializers.normal(0.02), nnx.initializers.normal(0.01)
        self.token_embedding = nnx.Param(tokens(rngs.params(), (vocab_size, width)))
        self.positional_embedding = nnx.Param(positions(rngs.params(), (length, width)))
        self.transformer = Transformer(
            width,
            config.layers,
            config.heads,
            embedding_width,
            causal=True,
            dtype=dtype,
            rngs=rngs,
        )

    def __call__(self, tokens: Array, mask: Array) -> Array:
        """See `TextEncoder.apply`."""
        h = self.token_embedding[...][tokens] + self.positional_embedding[...][None]
        return self.transformer(h, mask.sum(-1) - 1)


def image_encoder(config: ClipImageConfig, *, embedding_width: int, dtype: str) -> ImageEncoder:
    """The published architecture, at any size.

    Args:
        config: sizes.
        embedding_width: width of the features.
        dtype: what activations are computed in; features and weights are float32.

    Returns:
        The encoder; no weights are created.
    """
    pure = Pure(lambda rngs: _Image(config, embedding_width, jnp.dtype(dtype), rngs))

    def apply(params, x_t, t):
        return pure.bind(params)(x_t, t)

    return ImageEncoder(config, embedding_width, pure.shapes, pure.init, apply)


def text_encoder(
    config: ClipTextConfig, *, vocab_size: int, text_length: int, embedding_width: int, dtype: str
) -> TextEncoder:
    """The published architecture, at any size.

    Args:
        config: sizes.
        vocab_size: of the tokenizer.
        text_length: tokens a caption is padded or cut to.
        embedding_width: width of the features.
        dtype: what activations are computed in; features and weights are float32.

    Returns:
        The encoder; no weights are created.
    """
    shape = (vocab_size, text_length)
    pure = Pure(lambda rngs: _Text(config, shape, embedding_width, jnp.dtype(dtype), rngs))

    def apply(params, tokens, mask):
        return pure.bind(params)(tokens, mask)

    return TextEncoder(
        config, vocab_size, text_length, embedding_width, pure.shapes, pure.init, apply
    )


def clip(config: ClipConfig, *, vocab_size: int, text_length: int) -> Clip:
    """Both encoders into one space.

    Args:
        config: sizes.
        vocab_size: of the tokenizer.
        text_length: tokens a caption is padded or cut to.

    Returns:
        The model; no weights are created.
    """
    width, dtype = config.embedding_width, config.dtype
    image = image_encoder(config.image, embedding_width=width, dtype=dtype)
    text = text_encoder(
        config.text,
        vocab_size=vocab_size,
        text_length=text_length,
        embedding_width=width,
        dtype=dtype,
    )

    def init(key):
        image_key, text_key = jax.random.split(key)
        return join_params(
            image.init(image_key), text.init(text_key), jnp.log(jnp.float32(config.logit_scale))
        )

    def encode_image(params, x_t, t):
        return image.apply(split_params(params)[0], x_t, t)

    def encode_text(params, tokens, mask):
        return text.apply(split_params(params)[1], tokens, mask)

    def logit_scale(params):
        return jnp.exp(_held_below(params[LOGIT_SCALE], math.log(LARGEST_LOGIT_SCALE)))

    shapes = join_params(image.shapes, text.shapes, jax.ShapeDtypeStruct((), jnp.float32))
    return Clip(config, image, text, shapes, init, encode_image, encode_text, logit_scale)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _held_below(x: Array, largest: float) -> Array:
    """min(x, largest), whose gradient lets x come down from there and not go further up."""
    return jnp.minimum(x, largest)


def _held_below_backward(largest: float, x: Array, gradient: Array) -> tuple[Array]:
    return (jnp.where(x < largest, gradient, jnp.maximum(gradient, 0.0)),)


_held_below.defvjp(lambda x, largest: (_held_below(x, largest), x), _held_below_backward)


def join_params(image: Mapping[str, T], text: Mapping[str, T], logit_scale: T) -> dict[str, T]:
    """The encoders' params and the scale's logarithm → the params of the `Clip` that has them."""
    parts = enumerate((image, text))
    joined = {join_path(place, path): v for place, part in parts for path, v in part.items()}
    return joined | {LOGIT_SCALE: logit_scale}


def join_path(place: int, path: str) -> str:
    """A weight's path in an encoder, the image's (0) or the text's (1) → its path in the `Clip`."""
    return PARTS[place] + path


def split_params(params: Mapping[str, T]) -> tuple[dict[str, T], dict[str, T]]:
    """A `Clip`'s params → its image encoder's and its text encoder's."""
    image, text = (
        {k.removeprefix(part): v for k, v in params.items() if k.startswith(part)} for part in PARTS
    )
    return image, text


def similarity(text: Array, image: Array) -> Array:
    """Cosine of the angle between features (Radford et al. 2021, sec. 2.3).

    Args:
        text: f32[b e], features of captions.
        image: f32[b e], features of images.

    Returns:
        f32[b] in [-1, 1].
    """
    return (direction(text) * direction(image)).sum(-1)


def direction(features: Array) -> Array:
    """Features scaled to length 1; f32[b e]."""
    return features / (jnp.linalg.norm(features, axis=-1, keepdims=True) + 1e-12)
