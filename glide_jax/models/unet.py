"""The U-Net of ADM (Dhariwal & Nichol 2021), with GLIDE's text keys in every attention block.

x ── conv ─┬─ [res (+ attention)] × n ─┬─ down ─┬─ … ─ res, attention, res ─ … ─ up ─ conv
           └─────────── each feeds the block of its own resolution on the way up ──┘

`UNetEncoder` ends after the middle.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import UNetConfig
from glide_jax.models import layers
from glide_jax.models.attention import AttentionBlock, KeysValues
from glide_jax.models.blocks import Resample, ResBlock
from glide_jax.models.remat import remat
from glide_jax.types import Array


@dataclasses.dataclass(frozen=True)
class _Builder:
    """Creates the blocks, in the order in which the net runs them.

    A stage is a list of blocks between two skip connections.
    """

    config: UNetConfig
    text_width: int
    dtype: jnp.dtype
    rngs: nnx.Rngs

    @property
    def skip_widths(self) -> list[int]:
        """Channels of each downsampling stage's skip connection."""
        *others, last = self.config.widths
        count = self.config.num_res_blocks
        repeated = [width for width in others for _ in range(count + 1)]
        return [self.config.widths[0], *repeated, *[last] * count]

    def down(self, in_channels: int) -> list[list[nnx.Module]]:
        widths = self.config.widths
        width = widths[0]
        stages: list[list[nnx.Module]] = [
            [layers.conv(in_channels, width, 3, self.dtype, self.rngs)]
        ]
        for level, level_width in enumerate(widths):
            for _ in range(self.config.num_res_blocks):
                stages.append(self._stage(width, level_width, level))
                width = level_width
            if level != len(widths) - 1:
                stages.append([self._halve(width)])
        return stages

    def middle(self) -> list[nnx.Module]:
        width = self.config.widths[-1]
        return [self._res(width, width), self._attention(width), self._res(width, width)]

    def up(self) -> list[list[nnx.Module]]:
        widths, skips, stages = self.config.widths, self.skip_widths, []
        width = widths[-1]
        for level, level_width in reversed(list(enumerate(widths))):
            for i in range(self.config.num_res_blocks + 1):
                stage = self._stage(width + skips.pop(), level_width, level)
                width = level_width
                if level and i == self.config.num_res_blocks:
                    stage.append(self._double(width))
                stages.append(stage)
        return stages

    def _stage(self, width_in: int, width_out: int, level: int) -> list[nnx.Module]:
        res = self._res(width_in, width_out)
        attends = self.config.image_size >> level in self.config.attention_resolutions
        return [res, self._attention(width_out)] if attends else [res]

    def _res(self, width_in: int, width_out: int, resample=None) -> ResBlock:
        return ResBlock(width_in, width_out, self.config, self.dtype, self.rngs, resample)

    def _attention(self, width: int) -> AttentionBlock:
        return AttentionBlock(width, self.config, self.text_width, self.dtype, self.rngs)

    def _halve(self, width: int) -> nnx.Module:
        if self.config.resblock_updown:
            return self._res(width, width, layers.downsample_mean)
        return Resample(width, self.dtype, self.rngs, up=False)

    def _double(self, width: int) -> nnx.Module:
        if self.config.resblock_updown:
            return self._res(width, width, layers.upsample_nearest)
        return Resample(width, self.dtype, self.rngs, up=True)


@dataclasses.dataclass(frozen=True)
class _Run:
    """The arguments of the blocks in one pass through the net, in the order of the blocks."""

    remat: str
    emb: Array
    texts: Iterator[KeysValues | None]
    keys: Iterator[Array | None]

    def __call__(self, stage: Sequence[nnx.Module], h: Array) -> Array:
        for block in stage:
            if isinstance(block, ResBlock):
                h = remat(self.remat, block)(h, self.emb, next(self.keys))
            elif isinstance(block, AttentionBlock):
                h = remat(self.remat, block)(h, next(self.texts))
            else:
                h = block(h)
        return h


def _run(policy: str, emb: Array, text: tuple[KeysValues, ...] | None, keys: Array | None) -> _Run:
    texts = itertools.repeat(None) if text is None else iter(text)
    if keys is None:
        return _Run(policy, emb, texts, itertools.repeat(None))
    fold = jax.vmap(jax.random.fold_in, (0, None))
    return _Run(policy, emb, texts, (fold(keys, i) for i in itertools.count()))


class _Trunk(nnx.Module):
    """The timestep's embedding, the downsampling stages and the middle."""

    def __init__(self, build: _Builder, in_channels: int):
        channels, float32 = build.config.channels, jnp.dtype(jnp.float32)
        self.dtype = build.dtype
        self.channels = channels
        self.remat = build.config.remat
        self.time_in = layers.linear(channels, 4 * channels, float32, build.rngs)
        self.time_out = layers.linear(4 * channels, 4 * channels, float32, build.rngs)
        self.input_blocks = layers.module_list(
            layers.module_list(stage) for stage in build.down(in_channels)
        )
        self.middle_block = layers.module_list(build.middle())

    def time_embedding(self, t: Array) -> Array:
        """t: i32[b] → f32[b 4·channels]."""
        h = self.time_in(layers.timestep_embedding(t, self.channels))
        return self.time_out(jax.nn.silu(h))

    def _down(self, x: Array, run: _Run) -> tuple[Array, list[Array]]:
        """x: [b h w in_channels] → the middle's output, and each stage's skip connection."""
        h, skips = x.astype(self.dtype), []
        for stage in self.input_blocks:
            h = run(stage, h)
            skips.append(h)
        return run(self.middle_block, h), skips


class UNet(_Trunk):
    """[b h w c] → [b h w c'], given the timestep and, in the attention blocks, the caption."""

    def __init__(
        self,
        config: UNetConfig,
        in_channels: int,
        out_channels: int,
        rngs: nnx.Rngs,
        *,
        text_width: int = 0,
    ):
        """`text_width`: channels of the caption's encoded tokens; 0: a model without text."""
        build = _Builder(config, text_width, jnp.dtype(config.dtype), rngs)
        super().__init__(build, in_channels)
        self.output_blocks = layers.module_list(map(layers.module_list, build.up()))
        width, float32 = config.widths[0], jnp.dtype(jnp.float32)
        self.out_norm = layers.GroupNorm(width, config.norm_groups)
        self.out_conv = layers.conv(width, out_channels, 3, float32, rngs, zero=True)

    def text_keys_values(self, text: Array) -> tuple[KeysValues, ...]:
        """Every attention block's keys and values of the caption. text: [b l text_width]."""
        stages = (*self.input_blocks, self.middle_block, *self.output_blocks)
        blocks = (b for stage in stages for b in stage if isinstance(b, AttentionBlock))
        return tuple(block.text_keys_values(text) for block in blocks)

    def __call__(
        self,
        x: Array,
        emb: Array,
        text: tuple[KeysValues, ...] | None = None,
        keys: Array | None = None,
    ) -> Array:
        """Run the net.

        Args:
            x: [b h w in_channels].
            emb: f32[b 4·channels], the timestep's embedding plus `Encoded.pooled`.
            text: what `text_keys_values` returned; None in a model without text.
            keys: key[b], for dropout; None: no dropout.

        Returns:
            f32[b h w out_channels].
        """
        run = _run(self.remat, emb, text, keys)
        h, skips = self._down(x, run)
        for stage in self.output_blocks:
            h = run(stage, jnp.concatenate([h, skips.pop()], axis=-1))
        return self.out_conv(jax.nn.silu(self.out_norm(h.astype(jnp.float32))))


class UNetEncoder(_Trunk):
    """[b h w c] → [b h' w' c'], without the upsampling stages."""

    def __init__(self, config: UNetConfig, in_channels: int, rngs: nnx.Rngs):
        super().__init__(_Builder(config, 0, jnp.dtype(config.dtype), rngs), in_channels)

    def __call__(self, x: Array, emb: Array, keys: Array | None = None) -> Array:
        """Run the net.

        Args:
            x: [b h w in_channels].
            emb: f32[b 4·channels], the timestep's embedding.
            keys: key[b], for dropout; None: no dropout.

        Returns:
            f32[b h/2ⁿ w/2ⁿ c'], for n halvings.
        """
        h, _ = self._down(x, _run(self.remat, emb, None, keys))
        return h.astype(jnp.float32)
