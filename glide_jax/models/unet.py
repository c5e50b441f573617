"""The U-Net of ADM (Dhariwal & Nichol 2021), with GLIDE's text keys in every attention block.

x ── conv ─┬─ [res (+ attention)] × n ─┬─ down ─┬─ … ─ res, attention, res ─ … ─ up ─ conv
           └─────────── each feeds the block of its own resolution on the way up ──┘

`UNetEncoder` ends after the middle. Imagen's is the same with another `Design`, and may have the
blocks in another order: see `layouts`.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.config import UNetConfig
from glide_jax.models import layers
from glide_jax.models.attention import AttentionBlock, KeysValues
from glide_jax.models.blocks import ResBlock
from glide_jax.models.design import Design, design_of
from glide_jax.models.layouts import LAYOUTS, Layout
from glide_jax.models.remat import remat
from glide_jax.types import Array

SHALLOW = 1
"""Of the stages on the way up, how many of the last are evaluated at every step where deep features
are kept. The rest of the quickstart's first level would make the shallow part three times as large,
and its images are no nearer than with this at a longer interval, see docs/sampling.md."""


@dataclasses.dataclass(frozen=True)
class _Run:
    """The arguments of the blocks in one pass through the net, in the order of the blocks."""

    remat: str
    emb: Array
    texts: Iterator[KeysValues | None]
    text_mask: Array | None
    keys: Iterator[Array | None]

    def __call__(self, stage: Sequence[nnx.Module], h: Array) -> Array:
        for block in stage:
            if isinstance(block, ResBlock):
                h = remat(self.remat, block)(h, self.emb, next(self.keys))
            elif isinstance(block, AttentionBlock):
                h = remat(self.remat, block)(h, next(self.texts), self.text_mask)
            else:
                h = block(h)
        return h

    def skip(self, stages: Iterable[Sequence[nnx.Module]]) -> None:
        """Leave out the arguments of these stages' blocks, which are not run."""
        for block in itertools.chain.from_iterable(stages):
            if isinstance(block, ResBlock):
                next(self.keys)
            elif isinstance(block, AttentionBlock):
                next(self.texts)


def _run(
    policy: str,
    emb: Array,
    text: tuple[KeysValues, ...] | None,
    text_mask: Array | None,
    keys: Array | None,
) -> _Run:
    texts = itertools.repeat(None) if text is None else iter(text)
    if keys is None:
        return _Run(policy, emb, texts, text_mask, itertools.repeat(None))
    fold = jax.vmap(jax.random.fold_in, (0, None))
    return _Run(policy, emb, texts, text_mask, (fold(keys, i) for i in itertools.count()))


def _layout(config: UNetConfig, design: Design, rngs: nnx.Rngs) -> Layout:
    return LAYOUTS[design.layout](config, design, jnp.dtype(config.dtype), rngs)


class _Trunk(nnx.Module):
    """The timestep's embedding, the downsampling stages and the middle."""

    def __init__(self, layout: Layout, in_channels: int):
        channels, float32 = layout.config.channels, jnp.dtype(jnp.float32)
        width = layout.design.emb_width
        self.dtype = layout.dtype
        self.channels = channels
        self.remat = layout.config.remat
        self.design = layout.design
        self.time_in = layers.linear(channels, width, float32, layout.rngs)
        self.time_out = layers.linear(width, width, float32, layout.rngs)
        self.input_blocks = layers.module_list(
            layers.module_list(stage) for stage in layout.down(in_channels)
        )
        self.middle_block = layers.module_list(layout.middle())

    def time_embedding(self, t: Array) -> Array:
        """t: i32[b] → f32[b emb_width]."""
        h = self.time_in(layers.timestep_embedding(t, self.channels))
        return self.time_out(self.design.activate(h))

    def _down(self, x: Array, run: _Run, count: int | None = None) -> list[Array]:
        """x: [b h w in_channels] → the first `count` stages' outputs, which are skip connections.

        None: all of them.
        """
        h, skips = x.astype(self.dtype), []
        for stage in self.input_blocks[:count]:
            h = run(stage, h)
            skips.append(h)
        return skips

    def _middle(self, x: Array, run: _Run) -> tuple[Array, list[Array]]:
        """x: [b h w in_channels] → the middle's output, and all skip connections."""
        skips = self._down(x, run)
        return run(self.middle_block, skips[-1]), skips


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
        """`text_width`: see `design_of`."""
        layout = _layout(config, design_of(config, text_width), rngs)
        super().__init__(layout, in_channels)
        self.output_blocks = layers.module_list(map(layers.module_list, layout.up()))
        self.num_deep = max(len(self.output_blocks) - SHALLOW, 0)
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
        *,
        text_mask: Array | None = None,
    ) -> Array:
        """Run the net.

        Args:
            x: [b h w in_channels].
            emb: f32[b emb_width], the timestep's embedding plus `Encoded.pooled`.
            text: what `text_keys_values` returned; None in a model without text.
            text_mask: bool[b l], True where a token is attended to; None: all are.
            keys: key[b], for dropout; None: no dropout.

        Returns:
            f32[b h w out_channels].
        """
        run = self._run(emb, text, text_mask, keys)
        h, skips = self._middle(x, run)
        return self._out(self._up(h, skips, self.output_blocks, run))

    def deep_features(
        self,
        x: Array,
        emb: Array,
        text: tuple[KeysValues, ...] | None = None,
        *,
        text_mask: Array | None = None,
    ) -> Array:
        """Run the deep part of the net, without dropout.

        Args: as `__call__`.

        Returns:
            [b h w c'] of the net's dtype: what enters the last stage on the way up from below.
        """
        run = self._run(emb, text, text_mask, None)
        h, skips = self._middle(x, run)
        return self._up(h, skips, self.output_blocks[: self.num_deep], run)

    def with_features(
        self,
        x: Array,
        emb: Array,
        features: Array,
        text: tuple[KeysValues, ...] | None = None,
        *,
        text_mask: Array | None = None,
    ) -> Array:
        """Run the shallow part of the net around deep features, without dropout.

        Args: as `__call__`, and `features`, what `deep_features` returned.

        Returns:
            As `__call__`, which is this with the features of the same x and emb.
        """
        run = self._run(emb, text, text_mask, None)
        # Each stage on the way up takes one skip connection: these the deep ones have left.
        shallow = len(self.input_blocks) - self.num_deep
        skips = self._down(x, run, shallow)
        run.skip((*self.input_blocks[shallow:], self.middle_block))
        run.skip(self.output_blocks[: self.num_deep])
        return self._out(self._up(features, skips, self.output_blocks[self.num_deep :], run))

    def _run(
        self,
        emb: Array,
        text: tuple[KeysValues, ...] | None,
        text_mask: Array | None,
        keys: Array | None,
    ) -> _Run:
        return _run(self.remat, self.design.embedding_for_blocks(emb), text, text_mask, keys)

    def _up(
        self, h: Array, skips: list[Array], stages: Iterable[Sequence[nnx.Module]], run: _Run
    ) -> Array:
        """Run stages on the way up, which take the last of the skip connections."""
        for stage in stages:
            h = run(stage, jnp.concatenate([h, self.design.skip(skips.pop())], axis=-1))
        return h

    def _out(self, h: Array) -> Array:
        return self.out_conv(self.design.activate(self.out_norm(h.astype(jnp.float32))))


class UNetEncoder(_Trunk):
    """[b h w c] → [b h' w' c'], without the upsampling stages."""

    def __init__(self, config: UNetConfig, in_channels: int, rngs: nnx.Rngs):
        super().__init__(_layout(config, design_of(config), rngs), in_channels)

    def __call__(self, x: Array, emb: Array, keys: Array | None = None) -> Array:
        """Run the net.

        Args:
            x: [b h w in_channels].
            emb: f32[b emb_width], the timestep's embedding.
            keys: key[b], for dropout; None: no dropout.

        Returns:
            f32[b h/2ⁿ w/2ⁿ c'], for n halvings.
        """
        h, _ = self._middle(x, _run(self.remat, emb, None, None, keys))
        return h.astype(jnp.float32)
