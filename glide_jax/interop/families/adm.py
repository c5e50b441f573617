"""ADM: class-conditional and unconditional models, and their upsamplers."""

import typing
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from glide_jax.config import AdmConfig
from glide_jax.errors import UserError
from glide_jax.interop import tables
from glide_jax.interop.families import guided_diffusion as reference
from glide_jax.models.adm import adm
from glide_jax.models.model import Model, out_channels

NAME = "adm"

TABLE = (*tables.UNET, ("label_embedding", "label_emb", "embedding"))

SIZES = (*tables.UNET_SIZES, ("classes", "label_emb.weight", 0))

_RULES = tables.rules(TABLE)
_NOT_ADM = ("transformer.", "transformer_proj.", "encoder_pooling.")
"""GLIDE and Imagen, whose U-Nets have the same names."""
_HEADS_UNUSED = 4  # the reference's default of an option that num_head_channels overrides
_BY_ROLE = "by_role"
_BY_HEAD = "by_head"


def is_mine(keys: Collection[str]) -> bool:
    """Whether a state dict with these keys is an ADM model's."""
    has_decoder = any(key.startswith("output_blocks.") for key in keys)
    return has_decoder and not any(key.startswith(_NOT_ADM) for key in keys)


def build(state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> Model:
    """The model of these options; the number of classes is the state dict's.

    Raises:
        UserError: AdmConfig can't express the options.
        KeyError: an option is missing.
    """
    embedding = state_dict.get("label_emb.weight")
    classes = reference.NUM_CLASSES if embedding is None else np.shape(embedding)[0]
    config = _config(options, classes if options["class_cond"] else 0)
    return adm(config, learn_variance=options["learn_sigma"])


def rules(model: Model) -> list[tables.Rule]:
    """The table, in the order that the model's attention was published in."""
    config = typing.cast(AdmConfig, model.config)
    if config.attention_order == _BY_HEAD:
        return _RULES
    heads = {"heads": config.num_heads} if config.num_heads else {"d": config.head_channels}
    return tables.by_role(_RULES, "{}.qkv", heads)


def options(model: Model) -> dict[str, Any]:
    """The model's part of the reference's model_and_diffusion_defaults, or of the sr_… one.

    The reference's number of classes is a constant of its code, NUM_CLASSES, not an option.

    Raises:
        UserError: the reference has no options that make this model.
    """
    config = typing.cast(AdmConfig, model.config)
    reference.require_norm_groups(config)
    reference.require_no_aug_level(config)
    reference.require_no_guidance_range(config)
    return _own_options(config) | {
        "num_channels": config.channels,
        "num_res_blocks": config.num_res_blocks,
        "num_heads": config.num_heads or _HEADS_UNUSED,
        "num_heads_upsample": -1,
        "num_head_channels": config.head_channels or -1,
        "attention_resolutions": reference.attention_option(config),
        "dropout": config.dropout,
        "class_cond": config.num_classes > 0,
        "use_checkpoint": False,
        "use_scale_shift_norm": config.scale_shift_norm,
        "resblock_updown": config.resblock_updown,
        "use_fp16": False,
        "learn_sigma": _learns_variance(model),
    }


def _own_options(config: AdmConfig) -> dict[str, Any]:
    """The options that only upsamplers have, or only the other models."""
    if not config.low_res_size:
        return {
            "image_size": config.image_size,
            "channel_mult": reference.channel_mult_option(config, reference.CHANNEL_MULT),
            "use_new_attention_order": config.attention_order == _BY_ROLE,
        }
    order = config.attention_order
    reference.require(order == _BY_HEAD, f"attention_order={order} in an upsampler")
    reference.require_channel_mult(config, reference.UPSAMPLER_CHANNEL_MULT)
    return {"large_size": config.image_size, "small_size": config.low_res_size}


def _learns_variance(model: Model) -> bool:
    return model.shapes["unet.out_conv.bias"].shape == (out_channels(learn_variance=True),)


def _config(options: Mapping[str, Any], num_classes: int) -> AdmConfig:
    upsampler = "large_size" in options
    size = options["large_size" if upsampler else "image_size"]
    if upsampler:
        mult = reference.own_channel_mult(size, reference.UPSAMPLER_CHANNEL_MULT)
    else:
        mult = reference.channel_mult(options["channel_mult"], size, reference.CHANNEL_MULT)
    return AdmConfig(
        family=NAME,
        image_size=size,
        low_res_size=options["small_size"] if upsampler else 0,
        aug_level_conditioning=False,
        guidance_range=(),
        channels=options["num_channels"],
        channel_mult=mult,
        num_res_blocks=options["num_res_blocks"],
        attention_resolutions=reference.attending(
            options["attention_resolutions"], size, len(mult)
        ),
        **_heads(options),
        # The reference's upsamplers have no such option.
        attention_order=_BY_ROLE if options.get("use_new_attention_order") else _BY_HEAD,
        norm_groups=reference.NORM_GROUPS,
        dropout=options["dropout"],
        scale_shift_norm=options["use_scale_shift_norm"],
        resblock_updown=options["resblock_updown"],
        num_classes=num_classes,
        dtype="float32",
        remat="none",
    )


def _heads(options: Mapping[str, Any]) -> dict[str, int]:
    if options["num_head_channels"] != -1:
        return {"num_heads": 0, "head_channels": options["num_head_channels"]}
    heads, decoder_heads = options["num_heads"], options["num_heads_upsample"]
    if decoder_heads not in (-1, heads):
        what = f"-1 or num_heads, {heads}, not {decoder_heads}"
        raise UserError(f"options: num_heads_upsample must be {what}")
    return {"num_heads": heads, "head_channels": 0}
