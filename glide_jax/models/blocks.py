"""The U-Net's blocks other than attention: residual blocks, downsampling and upsampling."""

import jax.numpy as jnp
from flax import nnx

from glide_jax.config import UNetConfig
from glide_jax.models import layers
from glide_jax.models.design import Design
from glide_jax.types import Array


class ResBlock(nnx.Module):
    """Two normalised convolutions with the timestep's embedding between them.

    `resample` halves or doubles h and w before the first.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        config: UNetConfig,
        design: Design,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
        resample=None,
    ):
        self.design = design
        self.resample = resample
        self.dropout_rate = config.dropout
        self.scale_shift_norm = config.scale_shift_norm
        self.in_norm = layers.GroupNorm(width_in, config.norm_groups)
        self.in_conv = layers.conv(width_in, width_out, 3, dtype, rngs)
        emb_out = 2 * width_out if config.scale_shift_norm else width_out
        self.emb_proj = layers.linear(design.emb_width, emb_out, dtype, rngs)
        self.out_norm = layers.GroupNorm(width_out, config.norm_groups)
        self.out_conv = layers.conv(width_out, width_out, 3, dtype, rngs, zero=True)
        self.has_skip = width_in != width_out
        if self.has_skip:
            self.skip = layers.conv(width_in, width_out, 1, dtype, rngs)

    def __call__(self, x: Array, emb: Array, keys: Array | None) -> Array:
        """x: [b h w c], emb: f32[b emb_width], keys: key[b] for dropout or None → [b h' w' c']."""
        activate = self.design.activate
        h = activate(self.in_norm(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.in_conv(h)
        emb_out = self.emb_proj(self.design.embedding_in_block(emb))[:, None, None]
        if self.scale_shift_norm:
            scale, shift = jnp.split(emb_out, 2, axis=-1)
            h = self.out_norm(h) * (1 + scale) + shift
        else:
            h = self.out_norm(h + emb_out)
        h = self.out_conv(layers.dropout(activate(h), self.dropout_rate, keys))
        return self.design.residual_sum(self.skip(x) if self.has_skip else x, h)


class Resample(nnx.Module):
    """A convolution that halves h and w, or one that follows their doubling."""

    def __init__(
        self, width_in: int, width_out: int, dtype: jnp.dtype, rngs: nnx.Rngs, *, up: bool
    ):
        if up:
            self.up = layers.conv(width_in, width_out, 3, dtype, rngs)
        else:
            self.down = layers.conv(width_in, width_out, 3, dtype, rngs, stride=2)
        self.doubles = up

    def __call__(self, x: Array) -> Array:
        """x: [b h w c] → [b 2h 2w c'] or [b h/2 w/2 c']."""
        return self.up(layers.upsample_nearest(x)) if self.doubles else self.down(x)
