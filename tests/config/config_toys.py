"""A config to change, and what the change's complaint is."""

import copy
import dataclasses
from pathlib import Path

import ml_collections
import pytest

from glide_jax import config
from glide_jax.errors import UserError

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))
BASE = next(path for path in CONFIGS if path.name == "base.py")
STAGE_KEYS = [field.name for field in dataclasses.fields(config.StageConfig)]

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
    "low_res_noise_told": False,
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
MODELS = {section["family"]: section for section in (ADM, CLASSIFIER, CLIP)}
"""A small model section of each family but GLIDE's, which configs/base.py has."""


def two_stages():
    """base.py as a dict, with an upsampler of the released sizes."""
    values = config.load_config(BASE).to_dict()
    stage = copy.deepcopy({key: values[key] for key in STAGE_KEYS})
    stage["model"] |= {"image_size": 256, "low_res_size": 64, "channel_mult": (1, 1, 2, 2, 4, 4)}
    return values | {"upsampler": stage}


def experiment(*overrides):
    return config.with_overrides(config.from_dict(two_stages()), overrides)


def of_family(family, *overrides):
    """base.py with another family's model."""
    values = two_stages() | {"model": copy.deepcopy(MODELS[family]), "upsampler": None}
    if family == "adm":
        values["prompts"] = ()
    return config.with_overrides(config.from_dict(values), overrides)


def complaint(*overrides, family="glide"):
    """The one line that these overrides give."""
    with pytest.raises(UserError) as caught:
        experiment(*overrides) if family == "glide" else of_family(family, *overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(change):
    """The line of complaint about a config once `change` has been at it."""
    values = two_stages()
    change(values)
    with pytest.raises(UserError) as caught:
        config.experiment_from(ml_collections.ConfigDict(values))
    return str(caught.value)
