"""The text encoder of GLIDE's noised CLIP."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from glide_jax.config import ClipTextConfig
from glide_jax.interop import tables
from glide_jax.interop.families.clip_rows import TRANSFORMER
from glide_jax.models.clip import TextEncoder, text_encoder

NAME = "clip_text"

TABLE = (
    ("token_embedding", "blocks.input.w_voc", "array"),
    ("positional_embedding", "blocks.input.w_pos", "array"),
    *TRANSFORMER,
)

SIZES = (
    ("width", "blocks.input.w_pos", 1),
    ("text length", "blocks.input.w_pos", 0),
    ("vocabulary", "blocks.input.w_voc", 0),
)

_RULES = tables.rules(TABLE)


def is_mine(keys: Collection[str]) -> bool:
    """Whether a state dict with these keys is a text encoder's."""
    return "blocks.input.w_voc" in keys


def build(state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> TextEncoder:
    """The encoder of these options."""
    config = ClipTextConfig(
        width=options["n_head"] * options["n_head_state"],
        layers=options["n_xf_blocks"],
        heads=options["n_head"],
    )
    return text_encoder(
        config,
        vocab_size=options["n_bpe_vocab"],
        text_length=options["max_text_len"],
        embedding_width=options["n_embd"],
        dtype="float32",
    )


def rules(model: TextEncoder) -> list[tables.Rule]:
    """The same for every text encoder."""
    return _RULES


def options(model: TextEncoder) -> dict[str, Any]:
    """The arguments of the reference's `TextEncoder`."""
    config = model.config
    return {
        "n_bpe_vocab": model.vocab_size,
        "max_text_len": model.text_length,
        "n_embd": model.embedding_width,
        "n_head": config.heads,
        "n_xf_blocks": config.layers,
        "n_head_state": config.width // config.heads,
    }
