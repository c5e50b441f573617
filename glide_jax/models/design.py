"""What the families' U-Nets differ in, as their blocks read it."""

import dataclasses
from collections.abc import Callable

import jax

from glide_jax.config import ImagenConfig, UNetConfig
from glide_jax.types import Array

RESIDUAL_SCALE = 0.7071
"""1/√2 as DeepFloyd IF, whose weights are public, rounds it."""

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}
"""Name → activation; GELU is the exact one (Hendrycks & Gimpel 2016), by erf."""


@dataclasses.dataclass(frozen=True)
class Design:
    """The choices that only some families' configs have; ADM's and GLIDE's are the defaults.

    Attributes:
        emb_width: channels of the timestep's embedding.
        text_width: channels of the text that the attention blocks read; 0: a model without text.
        activation: a name in ACTIVATIONS.
        layout, embedding_activation, skip_scale, text_norm: as in `ImagenConfig`.
        text_only: pixels a side of the levels where pixels attend to the text alone.
    """

    emb_width: int
    text_width: int = 0
    activation: str = "silu"
    layout: str = "adm"
    embedding_activation: str = "block"
    skip_scale: str = "none"
    text_norm: str = "none"
    text_only: frozenset[int] = frozenset()

    def activate(self, x: Array) -> Array:
        """The activation, of any shape."""
        return ACTIVATIONS[self.activation](x)

    def embedding_in_block(self, emb: Array) -> Array:
        """The timestep's embedding as a residual block projects it."""
        return self.activate(emb) if self.embedding_activation == "block" else emb

    def embedding_for_blocks(self, emb: Array) -> Array:
        """The timestep's embedding as all residual blocks get it."""
        return self.activate(emb) if self.embedding_activation == "shared" else emb

    def residual_sum(self, x: Array, h: Array) -> Array:
        """What a residual block returns: its input, or the skip of it, and what was computed."""
        scaled = self.skip_scale in ("residual", "residual_and_attention")
        return (x + h) * RESIDUAL_SCALE if scaled else x + h

    def attention_sum(self, x: Array, h: Array) -> Array:
        """What an attention block returns."""
        return (x + h) * RESIDUAL_SCALE if self.skip_scale == "residual_and_attention" else x + h

    def skip(self, h: Array) -> Array:
        """A level's features as they are concatenated on the way up."""
        return h * 2**-0.5 if self.skip_scale == "concatenated" else h


def design_of(config: UNetConfig, text_width: int = 0) -> Design:
    """The design of a config of any family; `text_width` as in `Design`, where it is not a key."""
    if not isinstance(config, ImagenConfig):
        return Design(emb_width=4 * config.channels, text_width=text_width)
    return Design(
        emb_width=config.time_width,
        text_width=config.text_width,
        activation=config.activation,
        layout=config.layout,
        embedding_activation=config.embedding_activation,
        skip_scale=config.skip_scale,
        text_norm=config.text_norm,
        text_only=frozenset(config.attending_sizes - {*config.self_attention_resolutions}),
    )
