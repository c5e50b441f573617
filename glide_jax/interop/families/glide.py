"""GLIDE: base models, upsamplers, and both for inpainting."""

import typing
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from glide_jax.config import GlideConfig
from glide_jax.interop import tables
from glide_jax.interop.families import guided_diffusion as reference
from glide_jax.interop.families.inferring import unet_options
from glide_jax.models.glide import glide
from glide_jax.models.model import Model

NAME = "glide"

TABLE = (
    *tables.UNET,
    ("text.token_embedding", "token_embedding", "embedding"),
    ("text.positional_embedding", "positional_embedding", "array"),
    ("text.padding_embedding", "padding_embedding", "array"),
    ("text.blocks.{}.attention_norm", "transformer.resblocks.{}.ln_1", "norm"),
    ("text.blocks.{}.qkv", "transformer.resblocks.{}.attn.c_qkv", "linear"),
    ("text.blocks.{}.proj", "transformer.resblocks.{}.attn.c_proj", "linear"),
    ("text.blocks.{}.mlp_norm", "transformer.resblocks.{}.ln_2", "norm"),
    ("text.blocks.{}.mlp_in", "transformer.resblocks.{}.mlp.c_fc", "linear"),
    ("text.blocks.{}.mlp_out", "transformer.resblocks.{}.mlp.c_proj", "linear"),
    ("text.final_norm", "final_ln", "norm"),
    ("text.pooled", "transformer_proj", "linear"),
)

SIZES = (
    *tables.UNET_SIZES,
    ("text width", "positional_embedding", 1),
    ("text length", "positional_embedding", 0),
    ("vocabulary", "token_embedding.weight", 0),
)

VOCAB_SIZE = 50_257
"""The reference's; its tokenizer is fixed."""

CHANNEL_MULT: reference.Own = {
    size: own for size, own in reference.CHANNEL_MULT.items() if size <= 256
}
"""The reference's, by image size: guided-diffusion's, but for 512 pixels."""

TRAINING_OPTIONS: Mapping[str, Any] = {
    "num_heads": 1,
    "num_heads_upsample": -1,
    "dropout": 0.1,
    "cache_text_emb": False,
}
"""Options that change no output of a sampled model, as in the released ones."""

_INPUTS = {3: (False, False), 6: (True, False), 7: (False, True), 10: (True, True)}
"""Channels of the input → (super_res, inpaint): x_t, low-res image, known pixels, mask."""

_UPSAMPLING = 4
_RULES = tables.rules(TABLE)


def is_mine(keys: Collection[str]) -> bool:
    """Whether a state dict with these keys is a GLIDE model's."""
    return any(key.startswith(("transformer.", "transformer_proj.")) for key in keys)


def build(state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> Model:
    """The model of these options; the vocabulary size is the state dict's."""
    embedding = state_dict.get("token_embedding.weight")
    return glide(
        _config(options),
        vocab_size=VOCAB_SIZE if embedding is None else np.shape(embedding)[0],
        text_length=options["text_ctx"],
        learn_variance=True,
    )


def infer(arrays: Mapping[str, np.ndarray], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that follow from a state dict's names and shapes; others are left out.

    What doesn't follow: image_size, the channels of a head and the number of the transformer's
    heads, and the noising process.

    Args:
        arrays: by PyTorch key.
        given: options that are known, of which image_size is used.
    """
    options = unet_options(arrays, given.get("image_size"))
    if "positional_embedding" in arrays:
        options["text_ctx"], options["xf_width"] = arrays["positional_embedding"].shape
        layers = {key.split(".")[2] for key in arrays if key.startswith("transformer.resblocks.")}
        options["xf_layers"] = len(layers)
        options["xf_final_ln"] = "final_ln.weight" in arrays
        options["xf_padding"] = "padding_embedding" in arrays
    if "input_blocks.0.0.weight" in arrays:
        channels = arrays["input_blocks.0.0.weight"].shape[1]
        if channels in _INPUTS:
            options["super_res"], options["inpaint"] = _INPUTS[channels]
    return options


def rules(model: Model) -> list[tables.Rule]:
    """The same for every GLIDE model."""
    return _RULES


def options(model: Model) -> dict[str, Any]:
    """The model's part of the reference's `model_and_diffusion_defaults`.

    Raises:
        UserError: the reference has no options that make this model.
    """
    config = typing.cast(GlideConfig, model.config)
    reference.require_no_aug_level(config)
    reference.require_no_guidance_range(config)
    return {
        "image_size": config.image_size,
        "num_channels": config.channels,
        "num_res_blocks": config.num_res_blocks,
        "channel_mult": reference.channel_mult_option(config, CHANNEL_MULT),
        # The reference reads these two only without num_head_channels.
        "num_heads": 1,
        "num_heads_upsample": -1,
        "num_head_channels": config.head_channels,
        "attention_resolutions": reference.attention_option(config),
        "dropout": config.dropout,
        "text_ctx": model.shapes["text.positional_embedding"].shape[0],
        "xf_width": config.text_width,
        "xf_layers": config.text_layers,
        "xf_heads": config.text_heads,
        "xf_final_ln": config.text_final_norm,
        "xf_padding": config.text_padding,
        "use_scale_shift_norm": config.scale_shift_norm,
        "resblock_updown": config.resblock_updown,
        "cache_text_emb": False,
        "inpaint": config.inpaint,
        "super_res": config.low_res_size != 0,
    }


def _config(options: Mapping[str, Any]) -> GlideConfig:
    size = options["image_size"]
    mult = reference.channel_mult(options["channel_mult"], size, CHANNEL_MULT)
    return GlideConfig(
        family=NAME,
        image_size=size,
        low_res_size=size // _UPSAMPLING if options["super_res"] else 0,
        aug_level_conditioning=False,
        guidance_range=(),
        inpaint=options["inpaint"],
        channels=options["num_channels"],
        channel_mult=mult,
        num_res_blocks=options["num_res_blocks"],
        attention_resolutions=reference.attending(
            options["attention_resolutions"], size, len(mult)
        ),
        head_channels=options["num_head_channels"],
        norm_groups=reference.NORM_GROUPS,
        dropout=options["dropout"],
        scale_shift_norm=options["use_scale_shift_norm"],
        resblock_updown=options["resblock_updown"],
        text_width=options["xf_width"],
        text_layers=options["xf_layers"],
        text_heads=options["xf_heads"],
        text_padding=options["xf_padding"],
        text_final_norm=options["xf_final_ln"],
        dtype="float32",
        remat="none",
    )
