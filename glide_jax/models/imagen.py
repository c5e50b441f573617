"""Imagen: text embedding → image, and low-res image + text embedding → image.

    frozen encoder's output ─┬─ pool ──────────────→ + timestep's embedding ─→ every residual block
                             └─ project ─ norm, keys and values ────────────→ every attention block

All of it is computed once, before the loop. DeepFloyd IF is this family with other options.
"""

import jax.numpy as jnp
from flax import nnx

from glide_jax.config import ImagenConfig
from glide_jax.models.enlargement import ENLARGEMENTS
from glide_jax.models.imagen_text import ImagenText
from glide_jax.models.model import (
    IMAGE_CHANNELS,
    ConditionalUNet,
    Encoded,
    Model,
    from_module,
    out_channels,
)
from glide_jax.models.unet import UNet
from glide_jax.types import Array, Condition


class Imagen(ConditionalUNet):
    """The U-Net, and what it reads of the text embedding."""

    def __init__(self, config: ImagenConfig, channels_out: int, rngs: nnx.Rngs):
        self.config = config
        self.text = ImagenText(config, rngs)
        channels_in = IMAGE_CHANNELS * (2 if config.low_res_size else 1)
        self.unet = UNet(config, channels_in, channels_out, rngs)
        self._add_levels(config, rngs)

    def encode(self, condition: Condition) -> Encoded:
        """Encode a condition. Raises ValueError if it lacks what the model needs."""
        pooled, tokens, mask = self.text(condition)
        config = self.config
        if config.low_res_size and condition.low_res is None:
            raise ValueError("an upsampler needs low_res")
        return Encoded(
            pooled=self._with_levels(pooled, condition),
            tokens=tokens,
            keys_values=self.unet.text_keys_values(tokens),
            extra_channels=condition.low_res if config.low_res_size else None,
            text_mask=mask,
        )

    def _aug_timestep(self, level: Array) -> Array:
        """The step of the augmentation's schedule: see `diffusion.augmentation`."""
        return jnp.round(1000 * level)


def imagen(config: ImagenConfig, *, learn_variance: bool) -> Model:
    """Imagen's architecture (Saharia et al. 2022, app. B and F), or DeepFloyd IF's.

    Args:
        config: sizes and options.
        learn_variance: whether the output has three more channels, for the variance.

    Returns:
        The model; no weights are created. Its `encode` needs a Condition's text_embedding, and
        where padding is masked its mask. An upsampler's needs low_res, enlarged and noised as
        `diffusion.augmentation` does it. Images of any size that the levels can halve will do.
    """
    channels = out_channels(learn_variance=learn_variance)
    enlarge = ENLARGEMENTS[config.enlargement]

    def enlarged(low_res: Array) -> Array:
        factor = config.image_size // config.low_res_size
        return enlarge(low_res, factor * low_res.shape[1], factor * low_res.shape[2])

    return from_module(config, lambda rngs: Imagen(config, channels, rngs), enlarged)
