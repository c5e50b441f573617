"""The U-Net of ADM (Dhariwal & Nichol 2021), with GLIDE's text keys in every attention block.

x ── conv ─┬─ [res (+ attention)] × n ─┬─ down ─┬─ … ─ res, attention, res ─ … ─ up ─ conv
           └─────────── each feeds the block of its own resolution on the way up ──┘
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import ModelConfig
from glide_jax.models import layers
from glide_jax.models.attention import AttentionBlock, KeysValues
from glide_jax.types import Array


class ResBlock(nnx.Module):
    """Two normed convolutions around the timestep's embedding; may halve or double h and w."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        config: ModelConfig,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
        resample=None,
    ):
        emb_width = 4 * config.channels
        self.resample = resample
        self.dropout_rate = config.dropout
        self.scale_shift_norm = config.scale_shift_norm
        self.in_norm = layers.GroupNorm(width_in, config.norm_groups)
        self.in_conv = layers.conv(width_in, width_out, 3, dtype, rngs)
        emb_out = 2 * width_out if config.scale_shift_norm else width_out
        self.emb_proj = layers.linear(emb_width, emb_out, dtype, rngs)
        self.out_norm = layers.GroupNorm(width_out, config.norm_groups)
        self.out_conv = layers.conv(width_out, width_out, 3, dtype, rngs, zero=True)
        self.has_skip = width_in != width_out
        if self.has_skip:
            self.skip = layers.conv(width_in, width_out, 1, dtype, rngs)

    def __call__(self, x: Array, emb: Array, key: Array | None) -> Array:
        """x: [b h w c], emb: f32[b 4·channels] → [b h' w' c']."""
        h = jax.nn.silu(self.in_norm(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.in_conv(h)
        emb_out = self.emb_proj(jax.nn.silu(emb))[:, None, None]
        if self.scale_shift_norm:
            scale, shift = jnp.split(emb_out, 2, axis=-1)
            h = self.out_norm(h) * (1 + scale) + shift
        else:
            h = self.out_norm(h + emb_out)
        h = self.out_conv(layers.dropout(jax.nn.silu(h), self.dropout_rate, key))
        return (self.skip(x) if self.has_skip else x) + h


class Resample(nnx.Module):
    """A convolution that halves h and w, or one after doubling them."""

    def __init__(self, width: int, dtype: jnp.dtype, rngs: nnx.Rngs, *, up: bool):
        if up:
            self.up = layers.conv(width, width, 3, dtype, rngs)
        else:
            self.down = layers.conv(width, width, 3, dtype, rngs, stride=2)
        self.doubles = up

    def __call__(self, x: Array) -> Array:
        """x: [b h w c] → [b 2h 2w c] or [b h/2 w/2 c]."""
        return self.up(layers.upsample_nearest(x)) if self.doubles else self.down(x)


class UNet(nnx.Module):
    """[b h w c] → [b h w c'], told the timestep and, in the attention blocks, the caption."""

    def __init__(
        self,
        config: ModelConfig,
        in_channels: int,
        out_channels: int,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        self.dtype = dtype
        self.channels = config.channels
        widths = [config.channels * mult for mult in config.channel_mult]
        float32 = jnp.dtype(jnp.float32)
        self.time_in = layers.linear(config.channels, 4 * config.channels, float32, rngs)
        self.time_out = layers.linear(4 * config.channels, 4 * config.channels, float32, rngs)

        def res(width_in, width_out, resample=None):
            return ResBlock(width_in, width_out, config, dtype, rngs, resample)

        def attention(width):
            return AttentionBlock(width, config, dtype, rngs)

        def with_attention(block: nnx.Module, width: int, size: int) -> list[nnx.Module]:
            return [block, attention(width)] if size in config.attention_resolutions else [block]

        def halve(width):
            if config.resblock_updown:
                return res(width, width, layers.downsample_mean)
            return Resample(width, dtype, rngs, up=False)

        def double(width):
            if config.resblock_updown:
                return res(width, width, layers.upsample_nearest)
            return Resample(width, dtype, rngs, up=True)

        size, width = config.image_size, widths[0]
        down: list[list[nnx.Module]] = [[layers.conv(in_channels, width, 3, dtype, rngs)]]
        skips = [width]
        for level, level_width in enumerate(widths):
            for _ in range(config.num_res_blocks):
                down.append(with_attention(res(width, level_width), level_width, size))
                width = level_width
                skips.append(width)
            if level != len(widths) - 1:
                down.append([halve(width)])
                skips.append(width)
                size //= 2
        middle: list[nnx.Module] = [res(width, width), attention(width), res(width, width)]
        up: list[list[nnx.Module]] = []
        for level, level_width in reversed(list(enumerate(widths))):
            for i in range(config.num_res_blocks + 1):
                block = res(width + skips.pop(), level_width)
                width = level_width
                stage = with_attention(block, width, size)
                if level and i == config.num_res_blocks:
                    stage.append(double(width))
                    size *= 2
                up.append(stage)

        self.input_blocks = nnx.List(nnx.List(stage) for stage in down)
        self.middle_block = nnx.List(middle)
        self.output_blocks = nnx.List(nnx.List(stage) for stage in up)
        self.out_norm = layers.GroupNorm(width, config.norm_groups)
        self.out_conv = layers.conv(width, out_channels, 3, float32, rngs, zero=True)

    def _stages(self) -> Iterator[nnx.List]:
        yield from self.input_blocks
        yield self.middle_block
        yield from self.output_blocks

    def text_keys_values(self, text: Array) -> tuple[KeysValues, ...]:
        """Every attention block's keys and values of the caption. text: [b l text_width]."""
        blocks = (b for stage in self._stages() for b in stage if isinstance(b, AttentionBlock))
        return tuple(block.text_keys_values(text) for block in blocks)

    def time_embedding(self, t: Array) -> Array:
        """t: i32[b] → f32[b 4·channels]."""
        h = self.time_in(layers.timestep_embedding(t, self.channels))
        return self.time_out(jax.nn.silu(h))

    def __call__(
        self,
        x: Array,
        emb: Array,
        text: tuple[KeysValues, ...] | None = None,
        key: Array | None = None,
    ) -> Array:
        """Run the net.

        Args:
            x: [b h w in_channels].
            emb: f32[b 4·channels], the timestep's embedding plus whatever else is global.
            text: what `text_keys_values` gave, or None for a model without text.
            key: for dropout; None for none.

        Returns:
            f32[b h w out_channels].
        """
        texts = iter(text) if text is not None else None
        count = 0

        def run(stage, h):
            nonlocal count
            for layer in stage:
                if isinstance(layer, ResBlock):
                    block_key = None if key is None else jax.random.fold_in(key, count)
                    h, count = layer(h, emb, block_key), count + 1
                elif isinstance(layer, AttentionBlock):
                    h = layer(h, None if texts is None else next(texts))
                else:
                    h = layer(h)
            return h

        h, skips = x.astype(self.dtype), []
        for stage in self.input_blocks:
            h = run(stage, h)
            skips.append(h)
        h = run(self.middle_block, h)
        for stage in self.output_blocks:
            h = run(stage, jnp.concatenate([h, skips.pop()], axis=-1))
        return self.out_conv(jax.nn.silu(self.out_norm(h.astype(jnp.float32))))
