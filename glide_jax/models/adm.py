"""ADM: class → picture, picture, and low-res picture (+ class) → picture."""

import jax.numpy as jnp
from flax import nnx

from glide_jax.config import AdmConfig
from glide_jax.models.model import (
    IMAGE_CHANNELS,
    ConditionalUNet,
    Encoded,
    Model,
    enlarged,
    from_module,
    noise_level,
    out_channels,
)
from glide_jax.models.unet import UNet
from glide_jax.types import Array, Condition


class Adm(ConditionalUNet):
    """The U-Net, with an embedding of the class where there are classes."""

    def __init__(self, config: AdmConfig, channels_out: int, rngs: nnx.Rngs):
        self.config = config
        if config.num_classes:
            shape = (config.num_classes, 4 * config.channels)
            self.label_embedding = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), shape))
        channels_in = IMAGE_CHANNELS * (2 if config.low_res_size else 1)
        self.unet = UNet(config, channels_in, channels_out, rngs)
        self.low_res_noise = noise_level(config, rngs)

    def encode(self, condition: Condition) -> Encoded:
        """See `Encoded`. Raises ValueError where the model needs what the condition lacks."""
        pooled = self._embedded(condition.label) if self.config.num_classes else None
        pooled = self._with_level(pooled, condition)
        size = self.config.image_size
        picture = enlarged(condition.low_res, size) if self.config.low_res_size else None
        return Encoded(pooled, tokens=None, keys_values=None, picture=picture)

    def _embedded(self, label: Array | None) -> Array:
        """i32[b] → f32[b 4·channels]; NaN for a class that there is none of.

        JAX would take the nearest class there is, and draw it as if nothing were wrong.
        """
        if label is None:
            raise ValueError("a class-conditional model needs a label")
        rows = jnp.asarray(self.label_embedding[...]).at[label]
        return rows.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def adm(config: AdmConfig, *, learn_variance: bool) -> Model:
    """The released architecture (Dhariwal & Nichol 2021, sec. 3), at any size.

    Args:
        config: sizes and options.
        learn_variance: whether the output has three channels more, for the variance.

    Returns:
        The model; no weight is made yet. Its `encode` wants a Condition's label, i32[b] from 0 to
        num_classes - 1, and low_res where the config has them; a class out of range draws NaN.
    """
    channels = out_channels(learn_variance=learn_variance)
    return from_module(config, lambda rngs: Adm(config, channels, rngs))
