"""Imagen's U-Nets (Saharia et al. 2022), which are conditioned on a frozen text encoder's output.

DeepFloyd IF, whose weights are public, is the same family with other values of the same keys.
"""

import dataclasses
from typing import Literal

from glide_jax.config.checks import at_least, divisible, one_of, require
from glide_jax.config.unets import DenoiserConfig


@dataclasses.dataclass(frozen=True)
class ImagenConfig(DenoiserConfig):
    """Imagen: the U-Net, and the pooling of its text embedding.

    Attributes:
        layout: `adm`, the U-Net of ADM: each level's blocks, then the halving, and a skip
            connection from every block. `efficient`, the Efficient U-Net of app. B.1: each level
            halves the pixels before its blocks and doubles them after, the first one too, and has
            one skip connection; no block has the full resolution.
        activation: `silu`, as in the paper, or `gelu`, the exact one, as in IF.
        embedding_activation: where the timestep's embedding is activated: `block`, in every
            residual block, or `shared`, once for all, as in IF's upsamplers.
        skip_scale: what is scaled by 1/√2 (app. B.1: "we scale the skip connections by 1/√2"; the
            two papers that it cites there rescale residual sums): `residual`, the sum in residual
            blocks, by 0.7071 as IF's; `residual_and_attention`, that in attention blocks too, as
            the code of Song et al. 2021; `concatenated`, a level's features where they are
            concatenated on the way up; or `none`.
        time_width: channels of the timestep's embedding: 4 times `channels` in ADM and GLIDE,
            max(`channel_mult`) times in IF.
        encoder_width: channels of the frozen text encoder's output.
        text_width: channels of the text that the attention blocks read, a projection of the
            encoder's output; the output itself where the two are equal.
        text_layers: blocks of a transformer, of `pool_heads` heads, between the encoder's output
            and everything that reads it; 0, as in the paper and IF: there is none.
        text_norm: the norm of the text in each attention block: `none`; `layer`, as in the paper;
            `group`, over channels and tokens together, as in IF.
        text_mask: `masked`, padding is neither attended to nor pooled; `attended`, it is, as in IF.
        pool_heads: heads of the attention that pools the text into the timestep's embedding.
        self_attention_resolutions: those of the `attention_resolutions`, and of the middle's, where
            pixels attend to pixels too; elsewhere they attend to the text alone.
        enlargement: how an upsampler's low-res image is enlarged, bilinearly: `half_pixel`, or
            `align_corners`, as in IF.
    """

    family: Literal["imagen"]
    layout: str
    activation: str
    embedding_activation: str
    skip_scale: str
    time_width: int
    encoder_width: int
    text_width: int
    text_layers: int
    text_norm: str
    text_mask: str
    pool_heads: int
    self_attention_resolutions: tuple[int, ...]
    enlargement: str

    @property
    def reads_captions(self) -> bool:
        """Whether the model takes captions."""
        return True

    @property
    def reads_embeddings(self) -> bool:
        """Whether its captions are a frozen encoder's embeddings."""
        return True

    @property
    def halvings(self) -> int:
        """How often the last level's pixels a side are halved."""
        return len(self.channel_mult) - (self.layout == "adm")

    @property
    def attending_sizes(self) -> set[int]:
        """Pixels a side of all attention; the efficient layout has no middle block."""
        return super().attending_sizes if self.layout == "adm" else {*self.attention_resolutions}

    def __post_init__(self):
        one_of(("adm", "efficient"), self, "layout")
        super().__post_init__()
        one_of(("silu", "gelu"), self, "activation")
        one_of(("block", "shared"), self, "embedding_activation")
        scales = ("none", "residual", "residual_and_attention", "concatenated")
        one_of(scales, self, "skip_scale")
        one_of(("none", "layer", "group"), self, "text_norm")
        one_of(("masked", "attended"), self, "text_mask")
        one_of(("half_pixel", "align_corners"), self, "enlargement")
        at_least(1, self, "time_width", "encoder_width", "text_width", "pool_heads")
        at_least(0, self, "text_layers")
        divisible(self, "text_width" if self.text_layers else "encoder_width", by="pool_heads")
        self._check_text_norm()
        attending = self.attending_sizes
        what = f"among the sizes with attention, {sorted(attending, reverse=True)}"
        fitting = set(self.self_attention_resolutions) <= attending
        require(fitting, self, "self_attention_resolutions", what)
        efficient = self.layout == "efficient" and self.resblock_updown
        require(not efficient, self, "resblock_updown", "False where layout is efficient")

    def _check_text_norm(self):
        if self.text_norm == "group":
            divisible(self, "text_width", by="norm_groups")
            what = "attended where text_norm is group, whose statistics are over padding too"
            require(self.text_mask == "attended", self, "text_mask", what)
