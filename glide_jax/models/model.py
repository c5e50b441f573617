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
from glide_jax.models.design import design_of
from glide_jax.models.enlargement import half_pixel
from glide_jax.models.pure import Pure
from glide_jax.models.unet import UNet
from glide_jax.types import Array, Condition, Params

IMAGE_CHANNELS = 3

_SCALE_TIMESTEPS = 100
"""Guidance scales from 0 to 10 cover the range of a thousand timesteps."""


class Encoded(NamedTuple):
    """A Condition, encoded: all that is the same at every step, computed before the loop.

    Attributes:
        pooled: f32[b emb_width], added to the timestep's embedding: the sum of the caption's or
            the class's embedding and the low-res image's noise level; None in a model of none.
        tokens: [b l text_width], the encoded caption; None in a model without text.
        keys_values: for each attention block the caption's keys and values, [b l heads d] each;
            None in a model without text.
        extra_channels: f32[b h w k], concatenated to x_t: known pixels and their mask, then the
            low-res image enlarged to h×w; None in a model of neither.
        text_mask: bool[b l], True where a token is attended to; None: all are, padding too.
    """

    pooled: Array | None
    tokens: Array | None
    keys_values: tuple[KeysValues, ...] | None
    extra_channels: Array | None
    text_mask: Array | None = None


class FeatureCaching(NamedTuple):
    """A model in two parts, the deep one of which need not be evaluated at every step.

    `apply_with(params, x_t, t, encoded, deep_features(params, x_t, t, encoded))` is
    `Model.apply`, but for rounding. Both take `params | prepared` as `apply` does.

    Attributes:
        deep_features: (params, x_t: f32[b h w 3], t: i32[b], Encoded) → [b h' w' c], what the
            shallow part gets from below.
        apply_with: (params, x_t, t, Encoded, deep features) → as `Model.apply`, of the shallow
            part around deep features that may be another x_t's and t's.
    """

    deep_features: Callable[[Params, Array, Array, Encoded], Array]
    apply_with: Callable[[Params, Array, Array, Encoded, Array], Array]


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
        enlarge: low_res: f32[b h w 3] → f32[b h' w' 3], of x_t's size, for an upsampler whose
            low-res image is enlarged before noise is added to it, see `diffusion.augmentation`;
            None: `encode` enlarges it.
        caching: its parts, for sampling that keeps deep features, see `diffusion.caching`; None:
            it has no such parts.
    """

    config: DenoiserConfig
    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    encode: Callable[[Params, Condition], Encoded]
    apply: Callable[..., Array]
    prepare: Callable[[Params, Array, Array, Encoded], Params]
    enlarge: Callable[[Array], Array] | None = None
    caching: FeatureCaching | None = None


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
    aug_level_embedding: "LevelEmbedding | None"
    guidance_embedding: "LevelEmbedding | None"

    def _add_levels(self, config: DenoiserConfig, rngs: nnx.Rngs) -> None:
        """Embeddings of the numbers that the model is conditioned on beside the timestep."""
        has_level, has_scale = config.aug_level_conditioning, bool(config.guidance_range)
        self.aug_level_embedding = LevelEmbedding(config, rngs) if has_level else None
        self.guidance_embedding = LevelEmbedding(config, rngs) if has_scale else None

    def _with_levels(self, pooled: Array | None, condition: Condition) -> Array | None:
        """`pooled` plus the embedded aug_level and guidance_scale, where it depends on them."""
        if self.aug_level_embedding is not None:
            if condition.aug_level is None:
                raise ValueError("this upsampler needs aug_level")
            level = self.aug_level_embedding(self._aug_timestep(condition.aug_level))
            pooled = level if pooled is None else pooled + level
        if self.guidance_embedding is not None:
            if condition.guidance_scale is None:
                raise ValueError("this model needs guidance_scale")
            scale = self.guidance_embedding(_SCALE_TIMESTEPS * condition.guidance_scale)
            pooled = scale if pooled is None else pooled + scale
        return pooled

    def _aug_timestep(self, level: Array) -> Array:
        """The level as a timestep: levels from 0 to 1 cover the range of a thousand."""
        return 1000 * level

    def __call__(self, x_t: Array, t: Array, encoded: Encoded, keys: Array | None) -> Array:
        """See `Model.apply`."""
        x, emb = self._inputs(x_t, t, encoded)
        return self.unet(x, emb, encoded.keys_values, keys, text_mask=encoded.text_mask)

    def deep_features(self, x_t: Array, t: Array, encoded: Encoded) -> Array:
        """See `FeatureCaching`."""
        x, emb = self._inputs(x_t, t, encoded)
        text, mask = encoded.keys_values, encoded.text_mask
        return self.unet.deep_features(x, emb, text, text_mask=mask)

    def with_features(self, x_t: Array, t: Array, encoded: Encoded, features: Array) -> Array:
        """See `FeatureCaching.apply_with`."""
        x, emb = self._inputs(x_t, t, encoded)
        text, mask = encoded.keys_values, encoded.text_mask
        return self.unet.with_features(x, emb, features, text, text_mask=mask)

    def _inputs(self, x_t: Array, t: Array, encoded: Encoded) -> tuple[Array, Array]:
        """What the U-Net gets: x_t with the extra channels, and the embedding of t and the rest."""
        emb = self.unet.time_embedding(t)
        if encoded.pooled is not None:
            emb = emb + encoded.pooled
        if encoded.extra_channels is not None:
            if encoded.extra_channels.shape[:-1] != x_t.shape[:-1]:
                sizes = f"{encoded.extra_channels.shape[1:3]}, x_t of {x_t.shape[1:3]}"
                raise ValueError(f"low_res must be enlarged to x_t's size: it is of {sizes}")
            x_t = jnp.concatenate([x_t, encoded.extra_channels], axis=-1)
        return x_t, emb


class LevelEmbedding(nnx.Module):
    """A number for each image, embedded like a timestep.

    The noise level of a low-res image (Saharia et al. 2022, app. B), or the guidance scale (Meng et
    al. 2023, sec. 3.1).

    The last layer starts at zero, so that an untrained embedding has no effect.
    """

    def __init__(self, config: DenoiserConfig, rngs: nnx.Rngs):
        self.channels, self.design = config.channels, design_of(config)
        float32, width = jnp.dtype(jnp.float32), self.design.emb_width
        self.level_in = layers.linear(self.channels, width, float32, rngs)
        self.level_out = layers.linear(width, width, float32, rngs, zero=True)

    def __call__(self, timestep: Array) -> Array:
        """timestep: f32[b], the number as one, from 0 to about 1000 → f32[b emb_width]."""
        h = self.level_in(layers.timestep_embedding(timestep, self.channels))
        return self.level_out(self.design.activate(h))


def out_channels(*, learn_variance: bool) -> int:
    """Channels of a model's output: the image's, and as many again if it learns the variance."""
    return IMAGE_CHANNELS * (2 if learn_variance else 1)


def enlarged(low_res: Array | None, config: DenoiserConfig) -> Array:
    """An upsampler's low-res image, enlarged bilinearly to the size of x_t.

    Args:
        low_res: f32[b h w 3], or None if the condition has none.
        config: of the upsampler, which enlarges by image_size / low_res_size.

    Returns:
        f32[b h' w' 3].

    Raises:
        ValueError: low_res is None.
    """
    if low_res is None:
        raise ValueError("an upsampler needs low_res")
    factor = config.image_size // config.low_res_size
    return half_pixel(low_res, factor * low_res.shape[1], factor * low_res.shape[2])


def from_module(
    config: DenoiserConfig,
    build: Callable[[nnx.Rngs], ConditionalUNet],
    enlarge: Callable[[Array], Array] | None = None,
) -> Model:
    """The module as a Model; no weights are created.

    Args:
        config: what it is built from.
        build: rngs → the module.
        enlarge: see `Model`.
    """
    pure = Pure(build)

    def encode(params, condition):
        return pure.bind(params).encode(condition)

    def bound(params):
        module = pure.bind(params)
        kernels.use_prepared(module, params)
        return module

    def apply(params, x_t, t, encoded, keys=None):
        return bound(params)(x_t, t, encoded, keys)

    caching = FeatureCaching(
        lambda params, *inputs: bound(params).deep_features(*inputs),
        lambda params, *inputs: bound(params).with_features(*inputs),
    )

    def prepare(params, x_t, t, encoded):
        cast = kernels.in_compute_dtype(pure.bind(params).unet, "unet", params)
        transformed = kernels.prepare(
            pure.bind, lambda module: module(x_t, t, encoded, None), params
        )
        return transformed | cast

    return Model(config, pure.shapes, pure.init, encode, apply, prepare, enlarge, caching)
