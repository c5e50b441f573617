"""Imagen by the names of Diffusers' UNet2DConditionModel, as it holds DeepFloyd IF.

Diffusers numbers the blocks of each level anew, and has queries, keys and values apart.
"""

import typing
from collections.abc import Collection
from typing import Any

from glide_jax.config import ImagenConfig
from glide_jax.errors import UserError
from glide_jax.interop import tables
from glide_jax.interop.families import imagen
from glide_jax.models.design import RESIDUAL_SCALE
from glide_jax.models.model import Model

TABLE = (
    ("unet.time_in", "time_embedding.linear_1", "linear"),
    ("unet.time_out", "time_embedding.linear_2", "linear"),
    ("aug_level_embedding.level_in", "class_embedding.linear_1", "linear"),
    ("aug_level_embedding.level_out", "class_embedding.linear_2", "linear"),
    ("unet.{}.in_norm", "{}.norm1", "norm"),
    ("unet.{}.in_conv", "{}.conv1", "conv2d"),
    ("unet.{}.emb_proj", "{}.time_emb_proj", "linear"),
    ("unet.{}.out_norm", "{}.norm2", "norm"),
    ("unet.{}.out_conv", "{}.conv2", "conv2d"),
    ("unet.{}.skip", "{}.conv_shortcut", "conv2d"),
    ("unet.{}.norm", "{}.group_norm", "norm"),
    ("unet.{}.qkv", "{}.qkv", "linear"),
    ("unet.{}.query", "{}.to_q", "linear"),
    ("unet.{}.text_kv", "{}.text_kv", "linear"),
    ("unet.{}.text_norm", "{}.norm_cross", "norm"),
    ("unet.{}.proj", "{}.to_out.0", "linear"),
    ("unet.{}", "{}", "conv2d"),
    ("unet.out_norm", "conv_norm_out", "norm"),
    ("unet.out_conv", "conv_out", "conv2d"),
    ("text.pool.in_norm", "add_embedding.norm1", "norm"),
    ("text.pool.positional_embedding", "add_embedding.pool.positional_embedding", "array"),
    ("text.pool.query", "add_embedding.pool.q_proj", "linear"),
    ("text.pool.key", "add_embedding.pool.k_proj", "linear"),
    ("text.pool.value", "add_embedding.pool.v_proj", "linear"),
    ("text.pool.proj", "add_embedding.proj", "linear"),
    ("text.pool.out_norm", "add_embedding.norm2", "norm"),
    ("text.proj", "encoder_hid_proj", "linear"),
)

_PARTS = {"qkv": ("to_q", "to_k", "to_v"), "text_kv": ("add_k_proj", "add_v_proj")}
_RULES = tables.rules(TABLE)


def is_mine(keys: Collection[str]) -> bool:
    """Whether a state dict with these keys is one of IF's U-Nets in Diffusers' names."""
    return any(key.startswith("add_embedding.pool.") for key in keys)


def rules(model: Model) -> list[tables.Rule]:
    """The table, for heads of the model's size."""
    config = typing.cast(ImagenConfig, model.config)
    return tables.in_parts(_RULES, _PARTS, config.head_channels)


def blocks(config: ImagenConfig) -> dict[str, str]:
    """Our numbers of a block → Diffusers' name of it.

    Raises:
        UserError: Diffusers has no names for such a layout.
    """
    if config.guidance_range:
        raise UserError(
            "Diffusers has no names for this model: it has none for the embedding of a guidance "
            "scale; leave --names out"
        )
    if config.layout != "adm" or not config.resblock_updown:
        raise UserError(
            "Diffusers has no names for this model: it has them for layout=adm with "
            "resblock_updown=True alone"
        )
    names = {"input_blocks.0.0": "conv_in"}
    names |= {f"middle_block.{2 * i}": f"mid_block.resnets.{i}" for i in range(2)}
    names["middle_block.1"] = "mid_block.attentions.0"
    last = len(config.level_blocks) - 1
    place = 1
    for level, count in enumerate(config.level_blocks):
        for i in range(count):
            names |= _stage(f"input_blocks.{place}", f"down_blocks.{level}", i)
            place += 1
        if level < last:
            names[f"input_blocks.{place}.0"] = f"down_blocks.{level}.downsamplers.0"
            place += 1
    place = 0
    for level, count in reversed(list(enumerate(config.level_blocks))):
        theirs = f"up_blocks.{last - level}"
        for i in range(count + 1):
            names |= _stage(f"output_blocks.{place}", theirs, i)
            place += 1
        if level:
            attends = config.level_sizes[level] in config.attention_resolutions
            names[f"output_blocks.{place - 1}.{1 + attends}"] = f"{theirs}.upsamplers.0"
    return names


def options(model: Model) -> dict[str, Any]:
    """The config.json of a UNet2DConditionModel that is the model.

    Raises:
        UserError: there is none.
    """
    original = imagen.options(model)
    config = typing.cast(ImagenConfig, model.config)
    down = [_block_type(config, size, "Down") for size in config.level_sizes]
    up = [_block_type(config, size, "Up") for size in reversed(config.level_sizes)]
    scale = 1 / RESIDUAL_SCALE if original["scale_skip_connection"] else 1.0
    shared = original["efficient_activation"]
    projected = config.encoder_width != config.text_width
    return {
        "_class_name": "UNet2DConditionModel",
        "sample_size": config.image_size,
        "in_channels": original["in_channels"],
        "out_channels": original["out_channels"],
        "center_input_sample": False,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "down_block_types": down,
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": up,
        "only_cross_attention": [_text_only(config, size) for size in config.level_sizes],
        "mid_block_only_cross_attention": _text_only(config, config.level_sizes[-1]),
        "block_out_channels": list(config.widths),
        "layers_per_block": list(config.level_blocks),
        "downsample_padding": 1,
        "mid_block_scale_factor": scale,
        "resnet_out_scale_factor": scale,
        "dropout": config.dropout,
        "act_fn": config.activation,
        "norm_num_groups": config.norm_groups,
        "norm_eps": 1e-5,
        "cross_attention_dim": config.text_width,
        "cross_attention_norm": "group_norm",
        "attention_head_dim": config.head_channels,
        "encoder_hid_dim": config.encoder_width if projected else None,
        "encoder_hid_dim_type": "text_proj" if projected else None,
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": config.pool_heads,
        "class_embed_type": "timestep" if config.aug_level_conditioning else None,
        "resnet_time_scale_shift": "scale_shift" if config.scale_shift_norm else "default",
        "resnet_skip_time_act": shared,
        "time_embedding_act_fn": config.activation if shared else None,
        "time_embedding_dim": config.time_width,
    }


def _stage(ours: str, level: str, i: int) -> dict[str, str]:
    return {f"{ours}.0": f"{level}.resnets.{i}", f"{ours}.1": f"{level}.attentions.{i}"}


def _block_type(config: ImagenConfig, size: int, direction: str) -> str:
    sample = {"Down": "Downsample", "Up": "Upsample"}[direction]
    attends = size in config.attention_resolutions
    return f"SimpleCrossAttn{direction}Block2D" if attends else f"Resnet{sample}Block2D"


def _text_only(config: ImagenConfig, size: int) -> bool:
    return size in config.attending_sizes - {*config.self_attention_resolutions}
