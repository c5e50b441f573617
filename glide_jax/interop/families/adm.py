"""ADM: class-conditional and unconditional models, and their upsamplers."""

import dataclasses
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

_RULES = tables.rules(TABLE)
_NOT_ADM = ("transformer.", "transformer_proj.")  # GLIDE, whose U-Net has the same names
_HEADS_UNUSED = 4  # the reference's default of an option that num_head_channels overrides


@dataclasses.dataclass(frozen=True)
class NewOrder(Model):
    """A model that was published with use_new_attention_order; its weights go out like that again.

    It computes what every Model does: the order is of the published weights alone.
    """


def is_mine(keys: Collection[str]) -> bool:
    """Whether a state dict with these keys is an ADM model's."""
    whole = any(key.startswith("output_blocks.") for key in keys)
    return whole and not any(key.startswith(_NOT_ADM) for key in keys)


def build(state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> Model:
    """The model that the options ask for; the number of classes is the state dict's.

    Raises:
        UserError: the options ask for what AdmConfig can't say.
        KeyError: one is missing.
    """
    embedding = state_dict.get("label_emb.weight")
    classes = reference.NUM_CLASSES if embedding is None else len(embedding)
    config = _config(options, classes if options["class_cond"] else 0)
    model = adm(config, learn_variance=options["learn_sigma"])
    # The reference's upsamplers have the old order: they don't know the option.
    if options.get("use_new_attention_order", False) and not config.low_res_size:
        return NewOrder(**{f.name: getattr(model, f.name) for f in dataclasses.fields(model)})
    return model


def rules(model: Model) -> list[tables.Rule]:
    """The table, in the order in which the model's attention was published."""
    if not isinstance(model, NewOrder):
        return _RULES
    config = typing.cast(AdmConfig, model.config)
    heads = {"heads": config.num_heads} if config.num_heads else {"d": config.head_channels}
    return tables.by_role(_RULES, "{}.qkv", heads)


def options(model: Model) -> dict[str, Any]:
    """The model's part of the reference's model_and_diffusion_defaults, or of the sr_… one.

    The reference's number of classes is a constant of its code, NUM_CLASSES, and no option.

    Raises:
        UserError: the reference has no options that make this model.
    """
    config = typing.cast(AdmConfig, model.config)
    reference.require_norm_groups(config)
    return _own_options(model, config) | {
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


def _own_options(model: Model, config: AdmConfig) -> dict[str, Any]:
    """Those that only upsamplers have, or only the others."""
    if not config.low_res_size:
        return {
            "image_size": config.image_size,
            "channel_mult": reference.channel_mult_option(config),
            "use_new_attention_order": isinstance(model, NewOrder),
        }
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
        mult = reference.channel_mult(options["channel_mult"], size)
    return AdmConfig(
        family=NAME,
        image_size=size,
        low_res_size=options["small_size"] if upsampler else 0,
        channels=options["num_channels"],
        channel_mult=mult,
        num_res_blocks=options["num_res_blocks"],
        attention_resolutions=reference.attending(
            options["attention_resolutions"], size, len(mult)
        ),
        **_heads(options),
        norm_groups=reference.NORM_GROUPS,
        dropout=options["dropout"],
        scale_shift_norm=options["use_scale_shift_norm"],
        resblock_updown=options["resblock_updown"],
        num_classes=num_classes,
        dtype="float32",
    )


def _heads(options: Mapping[str, Any]) -> dict[str, int]:
    if options["num_head_channels"] != -1:
        return {"num_heads": 0, "head_channels": options["num_head_channels"]}
    heads, on_the_way_up = options["num_heads"], options["num_heads_upsample"]
    if on_the_way_up not in (-1, heads):
        what = f"-1 or num_heads, {heads}, not {on_the_way_up}"
        raise UserError(f"options: num_heads_upsample must be {what}")
    return {"num_heads": heads, "head_channels": 0}
