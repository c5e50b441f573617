"""ADM's classifier: predicts the class of a noisy image; its gradient guides sampling."""

import dataclasses
from collections.abc import Callable

import jax
from flax import nnx

from glide_jax.config import ClassifierConfig
from glide_jax.models import layers
from glide_jax.models.attention_pool import AttentionPool
from glide_jax.models.model import IMAGE_CHANNELS
from glide_jax.models.pure import Pure
from glide_jax.models.unet import UNetEncoder
from glide_jax.types import Array, Params


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A classifier of noisy images as pure functions of its weights.

    Attributes:
        config: what it was built from.
        shapes: every weight's name, shape and dtype.
        init: key → params.
        apply: (params, x_t: f32[b h w 3], t: i32[b], keys=None) → logits: f32[b classes].
            keys: key[b], for dropout; None: no dropout.
    """

    config: ClassifierConfig
    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    apply: Callable[..., Array]


class NoisyClassifier(nnx.Module):
    """The downsampling half of a U-Net, pooled by attention at its lowest resolution."""

    def __init__(self, config: ClassifierConfig, rngs: nnx.Rngs):
        width = config.widths[-1]
        size = config.image_size >> (len(config.channel_mult) - 1)
        self.unet = UNetEncoder(config, IMAGE_CHANNELS, rngs)
        self.out_norm = layers.GroupNorm(width, config.norm_groups)
        self.pool = AttentionPool(
            width, size**2, config.num_heads_of(width), config.num_classes, rngs
        )

    def __call__(self, x_t: Array, t: Array, keys: Array | None) -> Array:
        """See `Classifier.apply`."""
        h = self.unet(x_t, self.unet.time_embedding(t), keys)
        return self.pool(jax.nn.silu(self.out_norm(h)))


def classifier(config: ClassifierConfig) -> Classifier:
    """The released architecture (Dhariwal & Nichol 2021, sec. 4.3), at any size.

    Args:
        config: sizes and options.

    Returns:
        The classifier; no weights are created.
    """
    pure = Pure(lambda rngs: NoisyClassifier(config, rngs))

    def apply(params, x_t, t, keys=None):
        return pure.bind(params)(x_t, t, keys)

    return Classifier(config, pure.shapes, pure.init, apply)
