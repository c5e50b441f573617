"""Imagen by the names of DeepFloyd IF: stage I, a base model, and stages II and III, upsamplers.

The options are the arguments of the reference's `UNetModel` and `SuperResUNetModel`.
"""

import typing
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from glide_jax.config import ImagenConfig
from glide_jax.errors import UserError
from glide_jax.interop import tables
from glide_jax.interop.families import guided_diffusion as reference
from glide_jax.models.imagen import imagen as build_imagen
from glide_jax.models.model import IMAGE_CHANNELS, Model

NAME = "imagen"

TABLE = (
    ("aug_level_embedding.level_in", "aug_proj.0", "linear"),
    ("aug_level_embedding.level_out", "aug_proj.2", "linear"),
    ("unet.{}.query", "{}.qkv", "conv1d"),
    ("unet.{}.text_norm", "{}.norm_encoder", "norm"),
    *tables.UNET,
    ("text.pool.in_norm", "encoder_pooling.0", "norm"),
    ("text.pool.positional_embedding", "encoder_pooling.1.positional_embedding", "array"),
    ("text.pool.query", "encoder_pooling.1.q_proj", "linear"),
    ("text.pool.key", "encoder_pooling.1.k_proj", "linear"),
    ("text.pool.value", "encoder_pooling.1.v_proj", "linear"),
    ("text.pool.proj", "encoder_pooling.2", "linear"),
    ("text.pool.out_norm", "encoder_pooling.3", "norm"),
    ("text.proj", "encoder_proj", "linear"),
)

SIZES = (
    *tables.UNET_SIZES,
    ("encoder width", "encoder_pooling.0.weight", 0),
    ("text width", "encoder_proj.weight", 0),
)

_UPSAMPLING = 4
_RULES = tables.rules(TABLE)


def is_mine(keys: Collection[str]) -> bool:
    """Whether a state dict with these keys is one of IF's U-Nets, in its names or Diffusers'."""
    return any(key.startswith(("encoder_pooling.", "add_embedding.pool.")) for key in keys)


def build(state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> Model:
    """The model of these options.

    Raises:
        UserError: the options are of stage I and the arrays of an upsampler, or the other way
            round; or ImagenConfig can't express the options.
        KeyError: an option is missing.
    """
    require_stage(state_dict, options)
    config = _config(options)
    return build_imagen(config, learn_variance=options["out_channels"] == 2 * IMAGE_CHANNELS)


def rules(model: Model) -> list[tables.Rule]:
    """The same for every model of the family."""
    return _RULES


def options(model: Model) -> dict[str, Any]:
    """The reference's arguments that make the model.

    Raises:
        UserError: the reference has no arguments that make it.
    """
    config = typing.cast(ImagenConfig, model.config)
    _require_expressible(config)
    upsampler = config.low_res_size > 0
    text_only = config.attending_sizes - {*config.self_attention_resolutions}
    learns = model.shapes["unet.out_conv.bias"].shape[0]
    own = {
        "out_channels": learns,
        "activation": config.activation,
        "use_scale_shift_norm": config.scale_shift_norm,
        "resblock_updown": config.resblock_updown,
        "dropout": config.dropout,
        "in_channels": IMAGE_CHANNELS * (2 if upsampler else 1),
        "image_size": config.image_size,
        "model_channels": config.channels,
        "channel_mult": reference.channel_mult_option(config, {}),
        "num_res_blocks": _blocks_option(config),
        "num_head_channels": config.head_channels,
        "attention_resolutions": _listed(config.attention_resolutions),
        "encoder_dim": config.encoder_width,
        "encoder_channels": config.text_width,
        "att_pool_heads": config.pool_heads,
        "efficient_activation": config.embedding_activation == "shared",
        "scale_skip_connection": config.skip_scale == "residual",
    }
    return own | {"disable_self_attentions": _listed(text_only) if text_only else False}


def require_stage(state_dict: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raises UserError where the arrays are those of another stage than the options.

    Args:
        state_dict: by the keys of IF or Diffusers; only shapes are used.
        options: of which `in_channels` is used.
    """
    first = state_dict.get("input_blocks.0.0.weight", state_dict.get("conv_in.weight"))
    if first is None or len(np.shape(first)) < 2 or np.shape(first)[1] == options["in_channels"]:
        return
    kinds = {3: "a base model (stage I)", 6: "an upsampler (stage II or III)"}
    has = np.shape(first)[1]
    held = kinds.get(has, f"a model of {has} input channels")
    wanted = kinds.get(options["in_channels"], f"one of {options['in_channels']} input channels")
    raise UserError(f"it holds {held}, not {wanted}: give the other stage's name or options")


def _require_expressible(config: ImagenConfig) -> None:
    """Raises UserError for what the reference has no argument for."""
    reference.require_norm_groups(config)
    reference.require_no_guidance_range(config)
    reference.require(config.layout == "adm", f"layout={config.layout}")
    reference.require(not config.text_layers, f"text_layers={config.text_layers}")
    for key in ("text_norm", "text_mask", "skip_scale", "enlargement"):
        known = _REFERENCE[key]
        value = getattr(config, key)
        unused = key == "enlargement" and not config.low_res_size
        reference.require(value in known or unused, f"{key}={value}")
    width = int(config.channels * max(config.channel_mult))
    reference.require(config.time_width == width, f"time_width={config.time_width}")
    upsampler = config.low_res_size > 0
    level = config.aug_level_conditioning
    reference.require(level == upsampler, f"aug_level_conditioning={level} in an upsampler")
    reference.require(bool(config.attention_resolutions), "attention_resolutions=()")


_REFERENCE = {
    "text_norm": ("group",),
    "text_mask": ("attended",),
    "skip_scale": ("none", "residual"),
    "enlargement": ("align_corners",),
}
"""Our key → the values that the reference has."""


def _config(options: Mapping[str, Any]) -> ImagenConfig:
    size = options["image_size"]
    mult = reference.numbers("channel_mult", options["channel_mult"])
    attention = reference.numbers("attention_resolutions", options["attention_resolutions"])
    levels = tuple(size >> level for level in range(len(mult)))
    attending = {*attention} & {*levels}
    text_only = _text_only(options.get("disable_self_attentions"))
    self_attending = (attending | {levels[-1]}) - text_only
    upsampler = options["in_channels"] == 2 * IMAGE_CHANNELS
    blocks = options["num_res_blocks"]
    return ImagenConfig(
        family=NAME,
        image_size=size,
        low_res_size=size // _UPSAMPLING if upsampler else 0,
        aug_level_conditioning=upsampler,
        guidance_range=(),
        channels=options["model_channels"],
        channel_mult=mult,
        num_res_blocks=blocks if isinstance(blocks, int) else tuple(blocks),
        attention_resolutions=_falling(attending),
        self_attention_resolutions=_falling(self_attending),
        head_channels=options["num_head_channels"],
        norm_groups=reference.NORM_GROUPS,
        dropout=options["dropout"],
        scale_shift_norm=options["use_scale_shift_norm"],
        resblock_updown=options["resblock_updown"],
        layout="adm",
        activation=options["activation"],
        embedding_activation="shared" if options.get("efficient_activation") else "block",
        skip_scale="residual" if options.get("scale_skip_connection") else "none",
        time_width=options["model_channels"] * max(mult),
        encoder_width=options["encoder_dim"],
        text_width=options["encoder_channels"],
        text_layers=0,
        text_norm="group",
        text_mask="attended",
        pool_heads=options["att_pool_heads"],
        enlargement="align_corners",
        dtype="float32",
        remat="none",
    )


def _text_only(disabled: Any) -> set[int]:
    """`disable_self_attentions`: the sizes where it disables something.

    True disables nothing beside an `attention_resolutions` that is text: the reference compares
    its characters with numbers.
    """
    if disabled in (None, False, True, ""):
        return set()
    return {*reference.numbers("disable_self_attentions", disabled)}


def _blocks_option(config: ImagenConfig) -> int | list[int]:
    blocks = config.num_res_blocks
    return blocks if isinstance(blocks, int) else list(blocks)


def _falling(sizes: Collection[int]) -> tuple[int, ...]:
    return tuple(sorted(sizes, reverse=True))


def _listed(sizes: Collection[int]) -> str:
    return ",".join(map(str, _falling(sizes)))
