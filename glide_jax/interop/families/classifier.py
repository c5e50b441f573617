"""ADM's classifiers of noisy images."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from glide_jax.config import ClassifierConfig
from glide_jax.errors import UserError
from glide_jax.interop import tables
from glide_jax.interop.families import guided_diffusion as reference
from glide_jax.models.classifier import Classifier
from glide_jax.models.classifier import classifier as classifier_of

NAME = "classifier"

TABLE = (
    *tables.UNET,
    ("out_norm", "out.0", "norm"),
    ("pool.positional_embedding", "out.2.positional_embedding", "turned_array"),
    ("pool.qkv", "out.2.qkv_proj", "conv1d"),
    ("pool.proj", "out.2.c_proj", "conv1d"),
)

SIZES = (*tables.UNET_SIZES, ("classes", "out.2.c_proj.weight", 0))

_HEAD_CHANNELS = 64
_POOL = "attention"

_RULES = tables.rules(TABLE)


def is_mine(keys: Collection[str]) -> bool:
    """Whether a state dict with these keys is a classifier's."""
    blocks = {key.partition(".")[0] for key in keys}
    return "input_blocks" in blocks and "output_blocks" not in blocks


def build(state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> Classifier:
    """The classifier of these options; the number of classes is the state dict's.

    Raises:
        UserError: ClassifierConfig can't express the options.
        KeyError: an option is missing.
    """
    if options["classifier_pool"] != _POOL:
        pool = options["classifier_pool"]
        raise UserError(f"options: classifier_pool must be {_POOL!r}, not {pool!r}")
    size, last = options["image_size"], state_dict.get("out.2.c_proj.bias")
    mult = reference.own_channel_mult(size, reference.CHANNEL_MULT)
    return classifier_of(
        ClassifierConfig(
            family=NAME,
            image_size=size,
            channels=options["classifier_width"],
            channel_mult=mult,
            num_res_blocks=options["classifier_depth"],
            attention_resolutions=reference.attending(
                options["classifier_attention_resolutions"], size, len(mult)
            ),
            head_channels=_HEAD_CHANNELS,
            norm_groups=reference.NORM_GROUPS,
            dropout=0.0,
            scale_shift_norm=options["classifier_use_scale_shift_norm"],
            resblock_updown=options["classifier_resblock_updown"],
            num_classes=reference.NUM_CLASSES if last is None else np.shape(last)[0],
            dtype="float32",
            remat="none",
        )
    )


def rules(model: Classifier) -> list[tables.Rule]:
    """The table; the pool stores queries, keys and values in another order than the blocks do."""
    return tables.by_role(_RULES, "out.2.qkv_proj", {"d": model.config.head_channels})


def options(model: Classifier) -> dict[str, Any]:
    """The reference's classifier_defaults; they have neither dropout nor the number of classes.

    Raises:
        UserError: the reference has no options that make this classifier.
    """
    config = model.config
    reference.require_norm_groups(config)
    reference.require_channel_mult(config, reference.CHANNEL_MULT)
    heads = config.head_channels
    reference.require(heads == _HEAD_CHANNELS, f"head_channels={heads} in a classifier")
    return {
        "image_size": config.image_size,
        "classifier_use_fp16": False,
        "classifier_width": config.channels,
        "classifier_depth": config.num_res_blocks,
        "classifier_attention_resolutions": reference.attention_option(config),
        "classifier_use_scale_shift_norm": config.scale_shift_norm,
        "classifier_resblock_updown": config.resblock_updown,
        "classifier_pool": _POOL,
    }
