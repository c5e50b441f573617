"""The noised CLIP that guides GLIDE (Nichol et al. 2021, sec. 2.4): two encoders."""

import dataclasses
from typing import Literal

from glide_jax.config.checks import DTYPES, at_least, divisible, one_of, own_family, require

LARGEST_LOGIT_SCALE = 100.0
"""What the scale is held below: above it, training was unstable (Radford et al. 2021, sec. 2.5)."""


@dataclasses.dataclass(frozen=True)
class ClipImageConfig:
    """A vision transformer, conditioned on the timestep of its noised image.

    Attributes:
        image_size: pixels a side.
        patch_size: pixels a side of the patches that the image is cut into.
        width: channels of the transformer.
        layers: its layers.
        heads: its attention heads.
        num_timesteps: steps of the noising process, each with a learned embedding.
    """

    image_size: int
    patch_size: int
    width: int
    layers: int
    heads: int
    num_timesteps: int

    def __post_init__(self):
        at_least(1, self, "image_size", "patch_size", "width", "layers", "heads", "num_timesteps")
        divisible(self, "image_size", by="patch_size")
        divisible(self, "width", by="heads")


@dataclasses.dataclass(frozen=True)
class ClipTextConfig:
    """A causal transformer over the caption.

    Attributes:
        width: channels of the transformer.
        layers: its layers.
        heads: its attention heads.
    """

    width: int
    layers: int
    heads: int

    def __post_init__(self):
        at_least(1, self, "width", "layers", "heads")
        divisible(self, "width", by="heads")


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """Both encoders, whose features share one space.

    Attributes:
        family: which of `FAMILIES` it is.
        image: the image encoder.
        text: the text encoder.
        embedding_width: channels of the features of either encoder.
        logit_scale: what multiplies the cosine of the two features, before any step of training,
            which learns it. CLIP began at 1 / 0.07 and ended at 100, the most that it may be.
        dtype: of activations, `float32` or `bfloat16`; trained weights are always float32.
    """

    family: Literal["clip"]
    image: ClipImageConfig
    text: ClipTextConfig
    embedding_width: int
    logit_scale: float
    dtype: str

    @property
    def reads_captions(self) -> bool:
        """Whether the model takes captions."""
        return True

    @property
    def reads_embeddings(self) -> bool:
        """Whether they are a frozen encoder's embeddings: it has a text encoder of its own."""
        return False

    @property
    def image_size(self) -> int:
        """Pixels a side."""
        return self.image.image_size

    def __post_init__(self):
        own_family(self)
        at_least(1, self, "embedding_width")
        good = 0 < self.logit_scale <= LARGEST_LOGIT_SCALE
        most = f"above 0, and {LARGEST_LOGIT_SCALE:g} at most"
        require(good, self, "logit_scale", most)
        one_of(DTYPES, self, "dtype")
