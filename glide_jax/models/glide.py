"""GLIDE: caption → image, low-res image + caption → image, and both with known pixels."""

import jax.numpy as jnp
from flax import nnx

from glide_jax.config import GlideConfig
from glide_jax.models.model import (
    IMAGE_CHANNELS,
    ConditionalUNet,
    Encoded,
    Model,
    enlarged,
    from_module,
    out_channels,
)
from glide_jax.models.text_transformer import TextTransformer
from glide_jax.models.unet import UNet
from glide_jax.types import Array, Condition, Params

INPAINT_CHANNELS = IMAGE_CHANNELS + 1
"""Of a model that inpaints: the known pixels and their mask, between x_t and a low-res image."""

_INPUT_KERNEL = "unet.input_blocks.0.0.kernel"


class Glide(ConditionalUNet):
    """The text transformer and the U-Net."""

    def __init__(
        self, config: GlideConfig, text_shape: tuple[int, int], channels_out: int, rngs: nnx.Rngs
    ):
        dtype = jnp.dtype(config.dtype)
        channels_in = IMAGE_CHANNELS
        channels_in += INPAINT_CHANNELS if config.inpaint else 0
        channels_in += IMAGE_CHANNELS if config.low_res_size else 0
        self.config = config
        self.text = TextTransformer(config, text_shape, 4 * config.channels, dtype, rngs)
        self.unet = UNet(config, channels_in, channels_out, rngs, text_width=config.text_width)
        self._add_levels(config, rngs)

    def encode(self, condition: Condition) -> Encoded:
        """Encode a condition. Raises ValueError if it lacks what the model needs."""
        pooled, tokens, _ = self.text(condition)
        keys_values = self.unet.text_keys_values(tokens)
        extra = self._extra_channels(condition, len(pooled))
        return Encoded(self._with_levels(pooled, condition), tokens, keys_values, extra)

    def _extra_channels(self, condition: Condition, batch: int) -> Array | None:
        size, channels = self.config.image_size, []
        if self.config.inpaint:
            image, mask = condition.inpaint_image, condition.inpaint_mask
            if image is None or mask is None:  # no pixel is known: the model samples all of them
                image = jnp.zeros((batch, size, size, IMAGE_CHANNELS))
                mask = jnp.zeros((batch, size, size, 1))
            channels += [image * mask, mask]
        if self.config.low_res_size:
            channels.append(enlarged(condition.low_res, self.config))
        return jnp.concatenate(channels, axis=-1) if channels else None


def with_inpainting(params: Params) -> Params:
    """The weights of an inpainting model that predicts what these predict, until it is trained.

    In the first layer the weights of the new input channels, the known pixels and their mask, are
    0 (Nichol et al. 2021, sec. 4.3).

    Args:
        params: of a GLIDE model without inpainting.

    Returns:
        All weights; only the first layer's kernel differs from `params`.
    """
    kernel = params[_INPUT_KERNEL]
    new = jnp.zeros((*kernel.shape[:2], INPAINT_CHANNELS, kernel.shape[3]), kernel.dtype)
    parts = [kernel[:, :, :IMAGE_CHANNELS], new, kernel[:, :, IMAGE_CHANNELS:]]
    return params | {_INPUT_KERNEL: jnp.concatenate(parts, axis=2)}


def glide(config: GlideConfig, *, vocab_size: int, text_length: int, learn_variance: bool) -> Model:
    """The released architecture, at any size.

    Args:
        config: sizes and options.
        vocab_size: of the tokenizer.
        text_length: tokens a caption is padded or cut to.
        learn_variance: whether the output has three more channels, for the variance.

    Returns:
        The model; no weights are created.
    """
    text_shape, channels = (vocab_size, text_length), out_channels(learn_variance=learn_variance)
    return from_module(config, lambda rngs: Glide(config, text_shape, channels, rngs))
