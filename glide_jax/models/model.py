"""What every model that draws pictures offers, whatever it is told of them."""

import abc
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import DenoiserConfig
from glide_jax.models import layers
from glide_jax.models.attention import KeysValues
from glide_jax.models.pure import Pure
from glide_jax.models.spreading import spread_kernels, use_spread_kernels
from glide_jax.models.unet import UNet
from glide_jax.types import Array, Condition, Params

IMAGE_CHANNELS = 3


class Encoded(NamedTuple):
    """All of a Condition that is the same at every step, computed before the loop.

    Attributes:
        pooled: f32[b 4·channels], added to the timestep's embedding: the caption as a whole, or
            the class; None in a model of neither.
        tokens: [b l text_width], the encoded caption; None in a model without text.
        keys_values: each attention block's keys and values of the caption; None likewise.
        picture: f32[b h w k], the channels that stand beside x_t: known pixels and their mask,
            the low-res picture at full size; None in a plain base model.
    """

    pooled: Array | None
    tokens: Array | None
    keys_values: tuple[KeysValues, ...] | None
    picture: Array | None


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that takes the noise off pictures, as pure functions of its weights.

    Attributes:
        config: what it was built from.
        shapes: every weight's name, shape and dtype.
        init: key → params.
        encode: (params, Condition) → Encoded, once a picture.
        apply: (params, x_t: f32[b h w 3], t: i32[b], Encoded, keys=None) → f32[b h w 3 or
            6], in the parametrisation it was trained for; the keys, key[b], are for dropout.
        prepare: (params, x_t, t, Encoded) → what `apply` computes of the weights alone, to be
            given to it as `params | prepared` where it is called again and again. It is worth
            most for arguments of these shapes, and right for all.
    """

    config: DenoiserConfig
    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    encode: Callable[[Params, Condition], Encoded]
    apply: Callable[..., Array]
    prepare: Callable[[Params, Array, Array, Encoded], Params]


class Conditional(nnx.Module):
    """Weights that take the noise off a picture, told a condition."""

    @abc.abstractmethod
    def encode(self, condition: Condition) -> Encoded:
        """See `Encoded`. Raises ValueError where the model needs what the condition lacks."""

    @abc.abstractmethod
    def __call__(self, x_t: Array, t: Array, encoded: Encoded, keys: Array | None) -> Array:
        """See `Model.apply`."""


class ConditionalUNet(Conditional):
    """A U-Net and whatever encodes the condition it is given; a subclass a model family."""

    unet: UNet
    low_res_noise: "NoiseLevel | None"

    def _with_level(self, pooled: Array | None, condition: Condition) -> Array | None:
        """What is added to the timestep's embedding, with the noise on low_res where it is told."""
        if self.low_res_noise is None:
            return pooled
        if condition.low_res_noise is None:
            raise ValueError("this upsampler needs low_res_noise")
        level = self.low_res_noise(condition.low_res_noise)
        return level if pooled is None else pooled + level

    def __call__(self, x_t: Array, t: Array, encoded: Encoded, keys: Array | None) -> Array:
        """See `Model.apply`."""
        emb = self.unet.time_embedding(t)
        if encoded.pooled is not None:
            emb = emb + encoded.pooled
        if encoded.picture is not None:
            x_t = jnp.concatenate([x_t, encoded.picture], axis=-1)
        return self.unet(x_t, emb, encoded.keys_values, keys)


class NoiseLevel(nnx.Module):
    """How noisy a low-res picture is, embedded as the timestep is (Saharia et al. 2022, app. B).

    The last layer starts at zero: a level means nothing before it is learned.
    """

    def __init__(self, channels: int, rngs: nnx.Rngs):
        float32 = jnp.dtype(jnp.float32)
        self.channels = channels
        self.level_in = layers.linear(channels, 4 * channels, float32, rngs)
        self.level_out = layers.linear(4 * channels, 4 * channels, float32, rngs, zero=True)

    def __call__(self, level: Array) -> Array:
        """level: f32[b], a standard deviation → f32[b 4·channels]."""
        # From 0 to 1 it is spread as wide as a thousand timesteps.
        h = self.level_in(layers.timestep_embedding(1000 * level, self.channels))
        return self.level_out(jax.nn.silu(h))


def noise_level(config: DenoiserConfig, rngs: nnx.Rngs) -> NoiseLevel | None:
    """What a model with `low_res_noise_told` is told by; None: it isn't."""
    return NoiseLevel(config.channels, rngs) if config.low_res_noise_told else None


def out_channels(*, learn_variance: bool) -> int:
    """Channels of a model's output: the picture's, and as many again where it learns a variance."""
    return IMAGE_CHANNELS * (2 if learn_variance else 1)


def enlarged(low_res: Array | None, size: int) -> Array:
    """An upsampler's low-res picture, bilinearly, as its U-Net sees it.

    Args:
        low_res: f32[b h w 3], or None where the condition has none.
        size: pixels a side of the result.

    Returns:
        f32[b size size 3].

    Raises:
        ValueError: there is no low_res.
    """
    if low_res is None:
        raise ValueError("an upsampler needs low_res")
    shape = (low_res.shape[0], size, size, IMAGE_CHANNELS)
    return jax.image.resize(low_res, shape, "bilinear")


def from_module(config: DenoiserConfig, build: Callable[[nnx.Rngs], Conditional]) -> Model:
    """The module as a Model; no weight is made yet.

    Args:
        config: what it is built from.
        build: rngs → the module.
    """
    pure = Pure(build)

    def encode(params, condition):
        return pure.bind(params).encode(condition)

    def apply(params, x_t, t, encoded, keys=None):
        module = pure.bind(params)
        use_spread_kernels(module, params)
        return module(x_t, t, encoded, keys)

    def prepare(params, x_t, t, encoded):
        return spread_kernels(pure.bind, lambda module: module(x_t, t, encoded, None), params)

    return Model(config, pure.shapes, pure.init, encode, apply, prepare)
