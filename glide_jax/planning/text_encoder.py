"""What a frozen text encoder takes of the machine, beside the models that read its embeddings."""

import math

import jax
import jax.numpy as jnp

from glide_jax.config import FrozenTextConfig
from glide_jax.encoders import minilm, t5
from glide_jax.models.bert import bert
from glide_jax.models.t5 import t5 as t5_encoder

_GIB = 2**30


def encoder_line(config: FrozenTextConfig) -> str:
    """One line: its parameters, and the memory of its weights while captions are encoded.

    Args:
        config: which encoder, and its dtype.
    """
    shapes = _shapes(config)
    if not shapes:
        return f"text encoder {config.encoder}: its size is in its files; it is not in training"
    count = sum(math.prod(leaf.shape) for leaf in shapes.values())
    size = count * jnp.dtype(config.dtype).itemsize
    return (
        f"text encoder {config.encoder}: {count / 1e6:,.0f} M parameters, {size / _GIB:.3g} GiB in "
        f"{config.dtype}, for `glide-jax encode` alone: training reads stored embeddings"
    )


def _shapes(config: FrozenTextConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Every weight's shape; {}: only its files say."""
    if config.encoder in t5.CONFIGS:
        return t5_encoder(t5.CONFIGS[config.encoder], dtype=config.dtype).shapes
    if config.encoder == "minilm":
        return bert(minilm.CONFIG, dtype=config.dtype).shapes
    return {}
