"""A config to change, and what the change's error is."""

import copy
from pathlib import Path

import ml_collections
import pytest

from glide_jax import config
from glide_jax.errors import UserError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))
BASE = next(path for path in CONFIGS if path.name == "base.py")

UNET = {
    "image_size": 16,
    "channels": 32,
    "channel_mult": (1, 2),
    "num_res_blocks": 1,
    "attention_resolutions": (8,),
    "head_channels": 16,
    "norm_groups": 8,
    "dropout": 0.0,
    "scale_shift_norm": True,
    "resblock_updown": True,
    "dtype": "float32",
    "remat": "none",
}
ADM = UNET | {
    "family": "adm",
    "num_heads": 0,
    "attention_order": "by_head",
    "num_classes": 10,
    "low_res_size": 0,
    "aug_level_conditioning": False,
    "guidance_range": (),
}
IMAGEN = UNET | {
    "family": "imagen",
    "low_res_size": 0,
    "aug_level_conditioning": False,
    "guidance_range": (),
    "layout": "adm",
    "activation": "silu",
    "embedding_activation": "block",
    "skip_scale": "residual",
    "time_width": 128,
    "encoder_width": 24,
    "text_width": 16,
    "text_layers": 0,
    "text_norm": "layer",
    "text_mask": "masked",
    "pool_heads": 4,
    "self_attention_resolutions": (8,),
    "enlargement": "half_pixel",
}
FROZEN_TEXT = {
    "encoder": "minilm",
    "weights": "",
    "embeddings": "",
    "length": 16,
    "padding": False,
    "cleaning": "none",
    "dtype": "float32",
}
CLASSIFIER = UNET | {"family": "classifier", "num_classes": 10}
CLIP = {
    "family": "clip",
    "image": {
        "image_size": 16,
        "patch_size": 4,
        "width": 32,
        "layers": 1,
        "heads": 2,
        "num_timesteps": 100,
    },
    "text": {"width": 32, "layers": 1, "heads": 2},
    "embedding_width": 8,
    "logit_scale": 100.0,
    "dtype": "float32",
}
MODELS = {section["family"]: section for section in (ADM, IMAGEN, CLASSIFIER, CLIP)}
"""A small model section of each family but GLIDE's, which configs/base.py has."""
GUIDES = ("classifier", "clip")
DENOISERS_ALONE = {
    "diffusion": ("prediction", "learn_variance", "weighting", "vlb_weight"),
    "training": ("caption_dropout", "max_aug_level", "crop_size", "sample_every_steps"),
}
"""Section → its keys that a guide's stage has not."""


def cascade(*sizes):
    """base.py as a dict, with a stage of each of these sizes; their names sort the other way."""
    values = config.load_config(BASE).to_dict()
    low, stages = 0, {}
    for letter, size in zip("zyxw", sizes, strict=False):
        stage = copy.deepcopy(values["stages"]["base"])
        model = {"image_size": size, "low_res_size": low, "channel_mult": (1, 2)}
        stage["model"] |= model | {"attention_resolutions": (size // 2,)}
        stages[f"{letter}_{size}"] = stage
        low = size
    return values | {"stages": stages}


def two_stages():
    """base.py as a dict, with an upsampler of the released sizes."""
    values = config.load_config(BASE).to_dict()
    stage = copy.deepcopy(values["stages"]["base"])
    stage["model"] |= {"image_size": 256, "low_res_size": 64, "channel_mult": (1, 1, 2, 2, 4, 4)}
    values["stages"]["upsampler"] = stage
    return values


def experiment(*overrides):
    return config.with_overrides(config.from_dict(two_stages()), overrides)


def family_values(family):
    """base.py as a dict, with another family's model as its one stage, `base`."""
    values = two_stages()
    stage = values["stages"]["base"]
    del values["stages"]["upsampler"], values["prompts"]
    stage["model"] = copy.deepcopy(MODELS[family])
    if family in GUIDES:
        del stage["sampling"]
        for section, keys in DENOISERS_ALONE.items():
            for key in keys:
                del stage[section][key]
    if family == "imagen":
        values["text"] = copy.deepcopy(FROZEN_TEXT)
    elif family != "clip":
        del values["text"]
    return values


def of_family(family, *overrides):
    return config.with_overrides(config.from_dict(family_values(family)), overrides)


def complaint(*overrides, family="glide"):
    """The one line that these overrides give."""
    with pytest.raises(UserError) as caught:
        experiment(*overrides) if family == "glide" else of_family(family, *overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(change, values=None):
    """The error about a config once `change` has changed it."""
    values = values or two_stages()
    change(values)
    with pytest.raises(UserError) as caught:
        config.experiment_from(ml_collections.ConfigDict(values))
    assert "\n" not in str(caught.value)
    return str(caught.value)
