"""Configs are checked whole, and every complaint is one line that names the key."""

import json

import pytest
from config_toys import CONFIGS, changed, experiment

from glide_jax import config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_opens_with_its_command_and_builds(path):
    config.experiment_from(config.load_config(path))
    assert f"python -m glide_jax.main --config=configs/{path.name}" in path.read_text()


def test_unknown_key():
    line = changed(lambda c: c["training"].update(batchsize=3))
    assert (
        line == "config.training.batchsize: no such key; did you mean config.training.batch_size?"
    )


def test_missing_key():
    line = changed(lambda c: c["upsampler"]["model"].pop("dropout"))
    assert line.startswith("config.upsampler.model.dropout is missing")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", 1.5, "a whole number, not 1.5"),
        ("seed", True, "a whole number, not True"),
        ("seed", None, "a whole number, not None"),
        ("training", 3, "a section of keys, not 3"),
        ("model", 3, "a section of keys, not 3"),
        ("upsampler", "big", "a section of keys, not 'big'"),
        ("prompts", "a cat", "a tuple, of text each, not 'a cat'"),
        ("prompts", (3,), "text, not 3"),
    ],
)
def test_wrong_type(key, value, expected):
    assert changed(lambda c: c.update({key: value})) == f"config.{key} must be {expected}"


def test_a_whole_number_serves_as_a_float_and_nan_does_not():
    assert type(experiment("training.learning_rate=1").training.learning_rate) is float
    line = changed(lambda c: c["training"].update(learning_rate=float("nan")))
    assert line == "config.training.learning_rate must be a number, not nan"


def test_json_carries_an_experiment_whole():
    for path in CONFIGS:
        e = config.experiment_from(config.load_config(path))
        assert config.from_dict(json.loads(json.dumps(config.to_dict(e)))) == e
