"""Every family of models that a config may name can be built."""

import dataclasses

import pytest
import tiny
from imagen_toys import CONFIG

from glide_jax import config
from glide_jax.models.families import model_of

CONFIGS = {
    "glide": "base.py",
    "adm": "adm_imagenet64.py",
    "classifier": "classifier.py",
    "clip": "clip.py",
    "imagen": "base.py",
}
OWN = {"imagen": CONFIG}
"""Of a family without a config file of its own, the model."""


@pytest.mark.parametrize("family", config.FAMILIES)
def test_every_family_is_built_as_its_config_says(family):
    experiment = config.experiment_from(config.load_config(tiny.CONFIGS / CONFIGS[family]))
    stage = experiment.first_stage
    stage = dataclasses.replace(stage, model=OWN.get(family, stage.model))
    assert model_of(stage, vocab_size=300, text_length=6).config == stage.model
