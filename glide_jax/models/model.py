"""What every denoising model offers, whatever it is conditioned on."""

import abc
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import DenoiserConfig
from glide_jax.models import kernels, layers
from glide_jax.models.attention import KeysValues
from glide_jax.models.pure import Pure
from glide_jax.models.unet import UNet
from glide_jax.types import Array, Condition, Params

IMAGE_CHANNELS = 3


class Encoded(NamedTuple):
    """A Condition, encoded: all that is the same at every step, computed before the loop.

    Attributes:
        pooled: f32[b 4·channels], added to the timestep's embedding: the sum of the caption's or
            the class's embedding and the low-res image's noise level; None in a model of none.
        tokens: [b l text_width], the encoded caption; None in a model without text.
        keys_values: for each attention block the caption's keys and values, [b l heads d] each;
            None in a model without text.
        extra_channels: f32[b h w k], concatenated to x_t: known pixels and their mask, then the
            low-res image enlarged to h×w; None in a model of neither.
    """

    pooled: Array | None
    tokens: Array | None
    keys_values: tuple[KeysValues, ...] | None
    extra_channels: Array | None


@dataclasses.dataclass(frozen=True)
class Model:
    """A denoising model as pure functions of its weights.

    Attributes:
        config: what it was built from.
        shapes: every weight's name, shape and dtype.
        init: key → params.
        encode: (params, Condition) → Encoded; call it once for all steps.
        apply: (params, x_t: f32[b h w 3], t: i32[b], Encoded, keys=None) → f32[b h w 3], or
            f32[b h w 6] if it learns the variance, in the parametrisation that it was trained
            for. keys: key[b], for dropout; None: no dropout.
        prepare: (params, x_t, t, Encoded) → what `apply` computes from the weights alone. Call
            `apply` with `params | prepared` in a loop: each step is then faster, and the result
            equal but for rounding. The gain is for arguments of these shapes; the result holds
            for all. {} where there is nothing to prepare.
    """

    config: DenoiserConfig
    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    encode: Callable[[Params, Condition], Encoded]
    apply: Callable[..., Array]
    prepare: Callable[[Params, Array, Array, Encoded], Params]


class Conditional(nnx.Module):
    """A denoiser of images that is conditioned on what `encode` made of a Condition."""

    @abc.abstractmethod
    def encode(self, condition: Condition) -> Encoded:
        """Encode a condition. Raises ValueError if it lacks what the model needs."""

    @abc.abstractmethod
    def __call__(self, x_t: Array, t: Array, encoded: Encoded, keys: Array | None) -> Array:
        """See `Model.apply`."""


class ConditionalUNet(Conditional):
    """A U-Net and the encoders of its condition; each model family is a subclass."""

    unet: UNet
    aug_level_embedding: "AugLevelEmbedding | None"

    def _with_aug_level(self, pooled: Array | None, condition: Condition) -> Array | None:
        """`pooled` plus the embedded aug_level, if the model is conditioned on it."""
        if self.aug_level_embedding is None:
            return pooled
        if condition.aug_level is None:
            raise ValueError("this upsampler needs aug_level")
        level = self.aug_level_embedding(condition.aug_level)
        return level if pooled is None else pooled + level

    def __call__(self, x_t: Array, t: Array, encoded: Encoded, keys: Array | None) -> Array:
        """See `Model.apply`."""
        emb = self.unet.time_embedding(t)
        if encoded.pooled is not None:
            emb = emb + encoded.pooled
        if encoded.extra_channels is not None:
            x_t = jnp.concatenate([x_t, encoded.extra_channels], axis=-1)
        return self.unet(x_t, emb, encoded.keys_values, keys)


class AugLevelEmbedding(nnx.Module):
    """The noise level of a low-res image, embedded like a timestep (Saharia et al. 2022, app. B).

    The last layer starts at zero, so that an untrained embedding has no effect.
    """

    def __init__(self, channels: int, rngs: nnx.Rngs):
        float32 = jnp.dtype(jnp.float32)
        self.channels = channels
        self.level_in = layers.linear(channels, 4 * channels, float32, rngs)
        self.level_out = layers.linear(4 * channels, 4 * channels, float32, rngs, zero=True)

    def __call__(self, level: Array) -> Array:
        """level: f32[b], a standard deviation, about [0, 1] → f32[b 4·channels]."""
        # Levels from 0 to 1 cover the range of a thousand timesteps.
        h = self.level_in(layers.timestep_embedding(1000 * level, self.channels))
        return self.level_out(jax.nn.silu(h))


def aug_level_embedding(config: DenoiserConfig, rngs: nnx.Rngs) -> AugLevelEmbedding | None:
    """The embedding that `aug_level_conditioning` asks for; None without it."""
    return AugLevelEmbedding(config.channels, rngs) if config.aug_level_conditioning else None


def out_channels(*, learn_variance: bool) -> int:
    """Channels of a model's output: the image's, and as many again if it learns the variance."""
    return IMAGE_CHANNELS * (2 if learn_variance else 1)


def enlarged(low_res: Array | None, size: int) -> Array:
    """An upsampler's low-res image, enlarged bilinearly to the size of x_t.

    Args:
        low_res: f32[b h w 3], or None if the condition has none.
        size: pixels a side of the result.

    Returns:
        f32[b size size 3].

    Raises:
        ValueError: low_res is None.
    """
    if low_res is None:
        raise ValueError("an upsampler needs low_res")
    shape = (low_res.shape[0], size, size, IMAGE_CHANNELS)
    return jax.image.resize(low_res, shape, "bilinear")


def from_module(config: DenoiserConfig, build: Callable[[nnx.Rngs], ConditionalUNet]) -> Model:
    """The module as a Model; no weights are created.

    Args:
        config: what it is built from.
        build: rngs → the module.
    """
    pure = Pure(build)

    def encode(params, condition):
        return pure.bind(params).encode(condition)

    def apply(params, x_t, t, encoded, keys=None):
        module = pure.bind(params)
        kernels.use_prepared(module, params)
        return module(x_t, t, encoded, keys)

    def prepare(params, x_t, t, encoded):
        cast = kernels.in_compute_dtype(pure.bind(params).unet, "unet", params)
        transformed = kernels.prepare(
            pure.bind, lambda module: module(x_t, t, encoded, None), params
        )
        return transformed | cast

    return Model(config, pure.shapes, pure.init, encode, apply, prepare)
