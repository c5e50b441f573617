"""The model families that are U-Nets (ADM, Dhariwal & Nichol 2021; GLIDE, Nichol et al. 2021)."""

import dataclasses
from typing import Literal

from glide_jax.config.checks import (
    DTYPES,
    at_least,
    divisible,
    one_of,
    own_family,
    require,
)


@dataclasses.dataclass(frozen=True)
class UNetConfig:
    """The keys of every U-Net; each family is a dataclass of its own.

    Attributes:
        family: which of `FAMILIES` it is.
        image_size: pixels a side.
        channels: multiplied by `channel_mult`; the timestep embedding has four times as many.
        channel_mult: one number for each level of the U-Net, which has `channels` times as many
            channels, an integer; each level has half the pixels a side of the one before.
        num_res_blocks: residual blocks of each level: one number for all, or one for each.
        attention_resolutions: the levels with attention, by their pixels a side.
        head_channels: channels of one attention head.
        norm_groups: groups of GroupNorm, a divisor of every level's channels. As many groups as
            channels would remove every channel's mean, and with it the colour.
        dropout: probability that a residual block's activation is dropped.
        scale_shift_norm: whether the timestep scales and shifts the norm, rather than being added
            before it.
        resblock_updown: whether residual blocks change the resolution, rather than plain
            convolutions.
        dtype: of activations, `float32` or `bfloat16`; trained weights are always float32.
        remat: what the backward pass computes again rather than keeps: `none`; `products`,
            everything but convolutions and products with weights, for a few percent more
            operations; `blocks`, every block from its input, for a third more.
    """

    family: str
    image_size: int
    channels: int
    channel_mult: tuple[float, ...]
    num_res_blocks: int | tuple[int, ...]
    attention_resolutions: tuple[int, ...]
    head_channels: int
    norm_groups: int
    dropout: float
    scale_shift_norm: bool
    resblock_updown: bool
    dtype: str
    remat: str

    @property
    def reads_captions(self) -> bool:
        """Whether the model takes captions."""
        return False

    @property
    def reads_embeddings(self) -> bool:
        """Whether the captions that it takes are a frozen encoder's embeddings, not tokens."""
        return False

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(int(self.channels * mult) for mult in self.channel_mult)

    @property
    def halvings(self) -> int:
        """How often the last level's pixels a side are halved."""
        return len(self.channel_mult) - 1

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Pixels a side of each level's residual blocks."""
        levels = len(self.channel_mult)
        first = self.halvings - levels + 1
        return tuple(self.image_size >> (first + level) for level in range(levels))

    @property
    def attending_sizes(self) -> set[int]:
        """Pixels a side of all attention; the middle block has one, at the last level's size."""
        return {*self.attention_resolutions, self.level_sizes[-1]}

    @property
    def level_blocks(self) -> tuple[int, ...]:
        """Residual blocks of each level."""
        blocks = self.num_res_blocks
        return (blocks,) * len(self.channel_mult) if isinstance(blocks, int) else blocks

    def num_heads_of(self, width: int) -> int:
        """Number of heads of an attention block of this many channels."""
        return width // self.head_channels

    def __post_init__(self):
        own_family(self)
        at_least(1, self, "image_size", "channels", "norm_groups")
        require(0 <= self.dropout < 1, self, "dropout", "from 0 to below 1")
        one_of(DTYPES, self, "dtype")
        one_of(("none", "products", "blocks"), self, "remat")
        require(self.channels % 2 == 0, self, "channels", "even")
        self._check_widths()
        self._check_blocks()
        factor = 2**self.halvings
        what = f"divisible by {factor}, as channel_mult has {len(self.channel_mult)} levels"
        require(self.image_size % factor == 0, self, "image_size", what)
        self._check_attention()

    def _check_widths(self):
        mult = self.channel_mult
        positive = len(mult) > 0 and min(mult) > 0
        require(positive, self, "channel_mult", "one or more positive numbers")
        integers = all(float(self.channels * m).is_integer() for m in mult)
        what = f"such that each times channels, {self.channels}, is an integer"
        require(integers, self, "channel_mult", what)
        divides = all(width % self.norm_groups == 0 for width in self.widths)
        what = f"a divisor of every level's channels, {list(self.widths)}"
        require(divides, self, "norm_groups", what)

    def _check_blocks(self):
        levels, blocks = len(self.channel_mult), self.level_blocks
        good = len(blocks) == levels and min(blocks) >= 1
        what = f"1 or more, or a tuple of {levels} such numbers, as channel_mult has levels"
        require(good, self, "num_res_blocks", what)

    def _check_attention(self):
        sizes = list(self.level_sizes)
        require(
            set(self.attention_resolutions) <= set(sizes),
            self,
            "attention_resolutions",
            f"among the levels' sizes, {sizes}",
        )
        levels = zip(sizes, self.widths, strict=True)
        self._check_heads({size: width for size, width in levels if size in self.attending_sizes})

    def _check_heads(self, widths: dict[int, int]):
        """Checks the heads of the levels with attention, given as pixels a side → channels."""
        at_least(1, self, "head_channels")
        _divides_all(self, "head_channels", widths)


@dataclasses.dataclass(frozen=True)
class DenoiserConfig(UNetConfig):
    """A U-Net that is trained to denoise images.

    Attributes:
        low_res_size: pixels a side of the image that an upsampler enlarges; 0: no upsampler.
        aug_level_conditioning: whether an upsampler is conditioned on `aug_level`, the standard
            deviation of the noise on that image.
        guidance_range: the least and the largest guidance scale that the model is conditioned on:
            one evaluation is then a guided one (Meng et al. 2023, sec. 3.1); (): it is not
            conditioned on any, and guidance takes two.
    """

    low_res_size: int
    aug_level_conditioning: bool
    guidance_range: tuple[float, ...]

    def __post_init__(self):
        super().__post_init__()
        low = self.low_res_size
        require(
            low == 0 or (0 < low < self.image_size and self.image_size % low == 0),
            self,
            "low_res_size",
            f"0 or a proper divisor of image_size, {self.image_size}",
        )
        what = "False where low_res_size is 0"
        require(low > 0 or not self.aug_level_conditioning, self, "aug_level_conditioning", what)
        scales = self.guidance_range
        rising = not scales or (len(scales) == 2 and 0 <= scales[0] < scales[1])
        require(rising, self, "guidance_range", "(), or two rising scales, such as (1.0, 6.0)")
        what = "(): guidance leads away from the null caption, and the model reads none"
        require(not scales or self.reads_captions, self, "guidance_range", what)


@dataclasses.dataclass(frozen=True)
class GlideConfig(DenoiserConfig):
    """GLIDE: the U-Net and its text transformer.

    Attributes:
        inpaint: whether the model also takes an image of which a part is masked.
        text_width: channels of the text transformer.
        text_layers: its layers.
        text_heads: its attention heads.
        text_padding: whether padding has a learned embedding.
        text_final_norm: whether a LayerNorm follows its last layer.
    """

    family: Literal["glide"]
    inpaint: bool
    text_width: int
    text_layers: int
    text_heads: int
    text_padding: bool
    text_final_norm: bool

    @property
    def reads_captions(self) -> bool:
        """Whether the model takes captions."""
        return True

    def __post_init__(self):
        super().__post_init__()
        at_least(1, self, "text_width", "text_layers", "text_heads")
        divisible(self, "text_width", by="text_heads")


@dataclasses.dataclass(frozen=True)
class AdmConfig(DenoiserConfig):
    """ADM: the U-Net, conditioned on a class.

    Attributes:
        num_heads: of every attention block; 0: as many as head_channels gives. One of the two is 0.
        attention_order: the order of queries, keys and values in the released PyTorch weights: each
            head's three together, `by_head`, or all heads' queries first, `by_role` (the
            reference's use_new_attention_order). Export writes that order; the model is the same.
        num_classes: how many classes there are; 0: the model is unconditional.
    """

    family: Literal["adm"]
    num_heads: int
    attention_order: str
    num_classes: int

    def num_heads_of(self, width: int) -> int:
        """Number of heads of an attention block of this many channels."""
        return self.num_heads or super().num_heads_of(width)

    def __post_init__(self):
        at_least(0, self, "num_heads", "num_classes")
        one_of(("by_head", "by_role"), self, "attention_order")
        super().__post_init__()

    def _check_heads(self, widths: dict[int, int]):
        if not self.num_heads:
            return super()._check_heads(widths)
        require(self.head_channels == 0, self, "head_channels", "0 where num_heads is not")
        _divides_all(self, "num_heads", widths)


@dataclasses.dataclass(frozen=True)
class ClassifierConfig(UNetConfig):
    """ADM's classifier of noised images: the downsampling half of a U-Net, pooled by attention.

    Attributes:
        num_classes: how many classes it distinguishes.
    """

    family: Literal["classifier"]
    num_classes: int

    def __post_init__(self):
        super().__post_init__()
        at_least(2, self, "num_classes")


def _divides_all(config: UNetConfig, name: str, widths: dict[int, int]) -> None:
    for size, width in widths.items():
        divides = width % getattr(config, name) == 0
        require(divides, config, name, f"a divisor of level {size}'s {width} channels")
