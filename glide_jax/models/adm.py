"""ADM: class → image, image, and low-res image (+ class) → image."""

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
    out_channels,
)
from glide_jax.models.unet import UNet
from glide_jax.types import Array, Condition


class Adm(ConditionalUNet):
    """The U-Net, and an embedding of the class if there are classes."""

    def __init__(self, config: AdmConfig, channels_out: int, rngs: nnx.Rngs):
        self.config = config
        if config.num_classes:
            shape = (config.num_classes, 4 * config.channels)
            self.label_embedding = nnx.Param(nnx.initializers.normal(1.0)(rngs.params(), shape))
        channels_in = IMAGE_CHANNELS * (2 if config.low_res_size else 1)
        self.unet = UNet(config, channels_in, channels_out, rngs)
        self._add_levels(config, rngs)

    def encode(self, condition: Condition) -> Encoded:
        """Encode a condition. Raises ValueError if it lacks what the model needs."""
        pooled = self._embedded(condition.label) if self.config.num_classes else None
        pooled = self._with_levels(pooled, condition)
        extra = enlarged(condition.low_res, self.config) if self.config.low_res_size else None
        return Encoded(pooled, tokens=None, keys_values=None, extra_channels=extra)

    def _embedded(self, label: Array | None) -> Array:
        """i32[b] → f32[b 4·channels]; NaN for a class that does not exist.

        JAX's own indexing would silently take the nearest class.
        """
        if label is None:
            raise ValueError("a class-conditional model needs a label")
        rows = jnp.asarray(self.label_embedding[...]).at[label]
        return rows.get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def adm(config: AdmConfig, *, learn_variance: bool) -> Model:
    """The released architecture (Dhariwal & Nichol 2021, sec. 3), at any size.

    Args:
        config: sizes and options.
        learn_variance: whether the output has three more channels, for the variance.

    Returns:
        The model; no weights are created. Its `encode` needs a Condition's label, i32[b] from 0
        to num_classes - 1, and its low_res, if the config has num_classes and low_res_size. A
        label out of range gives NaN.
    """
    channels = out_channels(learn_variance=learn_variance)
    return from_module(config, lambda rngs: Adm(config, channels, rngs))
