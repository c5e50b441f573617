"""The image encoder of GLIDE's noised CLIP."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from glide_jax.config import ClipImageConfig
from glide_jax.interop import tables
from glide_jax.interop.families.clip_rows import TRANSFORMER
from glide_jax.models.clip import ImageEncoder, image_encoder

NAME = "clip_image"

TABLE = (
    ("time_embedding", "blocks.input.w_t", "array"),
    ("positional_embedding", "blocks.input.w_pos", "array"),
    ("patches", "blocks.input.patch_proj", "clip_conv2d"),
    ("in_norm", "blocks.input.ln", "clip_norm"),
    *TRANSFORMER,
)

SIZES = (
    ("width", "blocks.input.w_pos", 1),
    ("patch size", "blocks.input.patch_proj", 2),
    ("timesteps", "blocks.input.w_t", 0),
)

_RULES = tables.rules(TABLE)


def is_mine(keys: Collection[str]) -> bool:
    """Whether a state dict with these keys is an image encoder's."""
    return "blocks.input.patch_proj" in keys


def build(state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> ImageEncoder:
    """The encoder of these options."""
    config = ClipImageConfig(
        image_size=options["image_size"],
        patch_size=options["patch_size"],
        width=options["n_head"] * options["n_head_state"],
        layers=options["n_xf_blocks"],
        heads=options["n_head"],
        num_timesteps=options["n_timestep"],
    )
    return image_encoder(config, embedding_width=options["n_embd"], dtype="float32")


def rules(model: ImageEncoder) -> list[tables.Rule]:
    """The same for every image encoder."""
    return _RULES


def options(model: ImageEncoder) -> dict[str, Any]:
    """The arguments of the reference's `ImageEncoder`."""
    config = model.config
    return {
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "n_embd": model.embedding_width,
        "n_head": config.heads,
        "n_xf_blocks": config.layers,
        "n_head_state": config.width // config.heads,
        "n_timestep": config.num_timesteps,
    }
