"""GLIDE: caption → picture, low-res picture + caption → picture, and both with known pixels."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import ModelConfig
from glide_jax.models.attention import KeysValues
from glide_jax.models.pure import Pure
from glide_jax.models.text_transformer import TextTransformer
from glide_jax.models.unet import UNet
from glide_jax.types import Array, Condition, Params

IMAGE_CHANNELS = 3


class Encoded(NamedTuple):
    """All of a Condition that is the same at every step, computed before the loop.

    Attributes:
        pooled: f32[b 4·channels], added to the timestep's embedding.
        tokens: [b l text_width], the encoded caption.
        keys_values: each attention block's keys and values of the caption.
        picture: f32[b h w k], the channels that stand beside x_t: known pixels and their mask,
            the low-res picture at full size; None in a plain base model.
    """

    pooled: Array
    tokens: Array
    keys_values: tuple[KeysValues, ...]
    picture: Array | None


@dataclasses.dataclass(frozen=True)
class Model:
    """A text-to-image model as pure functions of its weights.

    Attributes:
        shapes: every weight's name, shape and dtype.
        init: key → params.
        encode: (params, Condition) → Encoded, once a picture.
        apply: (params, x_t: f32[b h w 3], t: i32[b], Encoded, key=None) → f32[b h w 3 or 6],
            in the parametrisation it was trained for; the key is for dropout.
    """

    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    encode: Callable[[Params, Condition], Encoded]
    apply: Callable[..., Array]


class Glide(nnx.Module):
    """The text transformer beside the U-Net."""

    def __init__(
        self, config: ModelConfig, text_shape: tuple[int, int], out_channels: int, rngs: nnx.Rngs
    ):
        dtype = jnp.dtype(config.dtype)
        in_channels = IMAGE_CHANNELS
        in_channels += (IMAGE_CHANNELS + 1) if config.inpaint else 0
        in_channels += IMAGE_CHANNELS if config.low_res_size else 0
        self.config = config
        self.text = TextTransformer(config, text_shape, 4 * config.channels, dtype, rngs)
        self.unet = UNet(config, in_channels, out_channels, dtype, rngs)

    def encode(self, condition: Condition) -> Encoded:
        """See `Encoded`. Raises ValueError where the model needs what the condition lacks."""
        if condition.tokens is None or condition.mask is None:
            raise ValueError("a GLIDE model needs tokens and their mask")
        pooled, tokens = self.text(condition.tokens, condition.mask)
        keys_values = self.unet.text_keys_values(tokens)
        return Encoded(pooled, tokens, keys_values, self._picture(condition))

    def _picture(self, condition: Condition) -> Array | None:
        size, channels = self.config.image_size, []
        batch = condition.tokens.shape[0] if condition.tokens is not None else 0
        if self.config.inpaint:
            image, mask = condition.inpaint_image, condition.inpaint_mask
            if image is None or mask is None:  # nothing is known: draw all of it
                image = jnp.zeros((batch, size, size, IMAGE_CHANNELS))
                mask = jnp.zeros((batch, size, size, 1))
            channels += [image * mask, mask]
        if self.config.low_res_size:
            if condition.low_res is None:
                raise ValueError("an upsampler needs low_res")
            shape = (batch, size, size, IMAGE_CHANNELS)
            channels.append(jax.image.resize(condition.low_res, shape, "bilinear"))
        return jnp.concatenate(channels, axis=-1) if channels else None

    def __call__(self, x_t: Array, t: Array, encoded: Encoded, key: Array | None) -> Array:
        """See `Model.apply`."""
        emb = self.unet.time_embedding(t) + encoded.pooled
        if encoded.picture is not None:
            x_t = jnp.concatenate([x_t, encoded.picture], axis=-1)
        return self.unet(x_t, emb, encoded.keys_values, key)


def glide(config: ModelConfig, *, vocab_size: int, text_length: int, learn_variance: bool) -> Model:
    """The released architecture, at any size.

    Args:
        config: sizes and options.
        vocab_size: of the tokenizer.
        text_length: tokens a caption is padded or cut to.
        learn_variance: whether the output has three channels more, for the variance.

    Returns:
        The model; no weight is made yet.
    """
    out_channels = IMAGE_CHANNELS * (2 if learn_variance else 1)
    pure = Pure(lambda rngs: Glide(config, (vocab_size, text_length), out_channels, rngs))

    def encode(params, condition):
        return pure.bind(params).encode(condition)

    def apply(params, x_t, t, encoded, key=None):
        return pure.bind(params)(x_t, t, encoded, key)

    return Model(pure.shapes, pure.init, encode, apply)
