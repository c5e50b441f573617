"""The order of a U-Net's blocks: ADM's, and the Efficient U-Net's.

A stage is a list of blocks between two skip connections. On the way up a stage's input is
concatenated with the skip connection of the last stage on the way down that has not had its turn.
"""

import abc
import dataclasses

import jax.numpy as jnp
from flax import nnx

from glide_jax.config import UNetConfig
from glide_jax.models import layers
from glide_jax.models.attention import AttentionBlock
from glide_jax.models.blocks import Resample, ResBlock
from glide_jax.models.design import Design

Stage = list[nnx.Module]


@dataclasses.dataclass(frozen=True)
class Layout(abc.ABC):
    """Creates the blocks, in the order in which the net runs them."""

    config: UNetConfig
    design: Design
    dtype: jnp.dtype
    rngs: nnx.Rngs

    @abc.abstractmethod
    def down(self, in_channels: int) -> list[Stage]:
        """The stages that have skip connections."""

    @abc.abstractmethod
    def middle(self) -> Stage:
        """The blocks between."""

    @abc.abstractmethod
    def up(self) -> list[Stage]:
        """The stages that take the skip connections, in their order."""

    def _first(self, in_channels: int) -> Stage:
        return [layers.conv(in_channels, self.config.widths[0], 3, self.dtype, self.rngs)]

    def _res(self, width_in: int, width_out: int, resample=None) -> ResBlock:
        return ResBlock(
            width_in, width_out, self.config, self.design, self.dtype, self.rngs, resample
        )

    def _attends(self, level: int) -> bool:
        return self.config.level_sizes[level] in self.config.attention_resolutions

    def _attention(self, width: int, level: int) -> AttentionBlock:
        text_only = self.config.level_sizes[level] in self.design.text_only
        return AttentionBlock(
            width, self.config, self.design, self.dtype, self.rngs, text_only=text_only
        )


class AdmLayout(Layout):
    """ADM's (Dhariwal & Nichol 2021), which GLIDE and DeepFloyd IF have too.

    Each residual block, with its attention, is a stage, and so is each halving, which follows the
    blocks of its level.
    """

    @property
    def _skip_widths(self) -> list[int]:
        """Channels of each downsampling stage's skip connection."""
        levels = list(zip(self.config.widths, self.config.level_blocks, strict=True))
        repeated = [width for width, count in levels for _ in range(count + 1)]
        return [self.config.widths[0], *repeated[:-1]]

    def down(self, in_channels: int) -> list[Stage]:
        """See `Layout`."""
        widths = self.config.widths
        width = widths[0]
        stages = [self._first(in_channels)]
        for level, level_width in enumerate(widths):
            for _ in range(self.config.level_blocks[level]):
                stages.append(self._stage(width, level_width, level))
                width = level_width
            if level != len(widths) - 1:
                stages.append([self._halve(width)])
        return stages

    def middle(self) -> Stage:
        """See `Layout`."""
        width, last = self.config.widths[-1], len(self.config.widths) - 1
        return [self._res(width, width), self._attention(width, last), self._res(width, width)]

    def up(self) -> list[Stage]:
        """See `Layout`."""
        widths, skips, stages = self.config.widths, self._skip_widths, []
        width = widths[-1]
        for level, level_width in reversed(list(enumerate(widths))):
            count = self.config.level_blocks[level]
            for i in range(count + 1):
                stage = self._stage(width + skips.pop(), level_width, level)
                width = level_width
                if level and i == count:
                    stage.append(self._double(width))
                stages.append(stage)
        return stages

    def _stage(self, width_in: int, width_out: int, level: int) -> Stage:
        res = self._res(width_in, width_out)
        return [res, self._attention(width_out, level)] if self._attends(level) else [res]

    def _halve(self, width: int) -> nnx.Module:
        if self.config.resblock_updown:
            return self._res(width, width, layers.downsample_mean)
        return Resample(width, width, self.dtype, self.rngs, up=False)

    def _double(self, width: int) -> nnx.Module:
        if self.config.resblock_updown:
            return self._res(width, width, layers.upsample_nearest)
        return Resample(width, width, self.dtype, self.rngs, up=True)


class EfficientLayout(Layout):
    """The Efficient U-Net's (Saharia et al. 2022, app. B.1 and figs. A.27 to A.30).

    Each level is a stage: it halves the pixels first, then come its residual blocks, then its
    attention; on the way up its residual blocks, its attention, and the doubling last. The two
    stages of the last level, between which no other lies, are the middle.
    """

    def down(self, in_channels: int) -> list[Stage]:
        """See `Layout`."""
        levels = range(len(self.config.widths) - 1)
        return [self._first(in_channels), *(self._down_stage(level) for level in levels)]

    def middle(self) -> Stage:
        """See `Layout`."""
        last = len(self.config.widths) - 1
        return [*self._down_stage(last), *self._up_stage(self.config.widths[last], last)]

    def up(self) -> list[Stage]:
        """See `Layout`."""
        levels = reversed(range(len(self.config.widths) - 1))
        return [self._up_stage(2 * self.config.widths[level], level) for level in levels]

    def _down_stage(self, level: int) -> Stage:
        widths = self.config.widths
        halve = Resample(widths[max(level - 1, 0)], widths[level], self.dtype, self.rngs, up=False)
        return [halve, *self._blocks(widths[level], level)]

    def _up_stage(self, width_in: int, level: int) -> Stage:
        widths = self.config.widths
        blocks = self._blocks(width_in, level)
        above = widths[max(level - 1, 0)]
        return [*blocks, Resample(widths[level], above, self.dtype, self.rngs, up=True)]

    def _blocks(self, width_in: int, level: int) -> Stage:
        width, count = self.config.widths[level], self.config.level_blocks[level]
        blocks: Stage = [self._res(width_in if i == 0 else width, width) for i in range(count)]
        return [*blocks, self._attention(width, level)] if self._attends(level) else blocks


LAYOUTS: dict[str, type[Layout]] = {"adm": AdmLayout, "efficient": EfficientLayout}
"""`Design.layout` → what creates the blocks."""
