"""Configs are checked in full, and every error is one line that names the key."""

import json

import ml_collections
import pytest
from config_toys import CONFIGS, changed, experiment, two_stages

from glide_jax import config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_opens_with_its_command_and_builds(path):
    config.experiment_from(config.load_config(path))
    assert f"python -m glide_jax.main --config=configs/{path.name}" in path.read_text()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_says_what_it_takes_and_gives(path):
    header = path.read_text().split('"""')[1]
    assert all(word in header for word in ("\nHardware:", "Time:", "Expected:", "figures"))


def test_unknown_key():
    line = changed(lambda c: c["stages"]["base"]["training"].update(batchsize=3))
    assert line == (
        "config.stages.base.training.batchsize: no such key; did you mean "
        "config.stages.base.training.batch_size?"
    )


def test_missing_key():
    line = changed(lambda c: c["stages"]["upsampler"]["model"].pop("dropout"))
    assert line.startswith("config.stages.upsampler.model.dropout is missing")
    line = changed(lambda c: c["stages"]["upsampler"].pop("model"))
    assert line.startswith("config.stages.upsampler.model is missing")
    assert changed(lambda c: c.pop("stages")).startswith("config.stages is missing")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", 1.5, "an integer, not 1.5"),
        ("seed", True, "an integer, not True"),
        ("seed", None, "an integer, not None"),
        ("data", 3, "a section of keys, not 3"),
        ("text", 3, "a section of keys, not 3"),
        ("stages", 3, "sections by name, not 3"),
        ("stages", None, "sections by name, not None"),
        ("stages.base", "big", "a section of keys, not 'big'"),
        ("stages.base", None, "a section of keys, not None"),
        ("stages.base.training", 3, "a section of keys, not 3"),
        ("stages.base.model", 3, "a section of keys, not 3"),
        ("prompts", "a cat", "a tuple, of text each, not 'a cat'"),
        ("prompts", (3,), "text, not 3"),
    ],
)
def test_wrong_type(key, value, expected):
    def change(section):
        *path, name = key.split(".")
        for above in path:
            section = section[above]
        section[name] = value

    assert changed(change) == f"config.{key} must be {expected}"


def test_an_integer_serves_as_a_float_and_nan_does_not():
    e = experiment("stages.base.training.learning_rate=1")
    assert type(e.first_stage.training.learning_rate) is float
    line = changed(lambda c: c["stages"]["base"]["training"].update(learning_rate=float("nan")))
    assert line == "config.stages.base.training.learning_rate must be a number, not nan"


def test_json_carries_all_of_an_experiment():
    for path in CONFIGS:
        e = config.experiment_from(config.load_config(path))
        assert config.from_dict(json.loads(json.dumps(config.to_dict(e)))) == e


def test_a_config_dict_is_read_as_it_stands(monkeypatch):
    loaded = config.load_config(CONFIGS[0])
    values = loaded.to_dict()

    def converted(*_, **__):
        raise AssertionError("a ConfigDict is converted")

    monkeypatch.setattr(ml_collections.ConfigDict, "to_dict", converted)
    assert config.experiment_from(loaded) == config.from_dict(values)
    overridden = config.load_config(CONFIGS[0], ["seed=3", "stages.base.sampling.eta=0.5"])
    e = config.experiment_from(overridden)
    assert (e.seed, e.first_stage.sampling.eta) == (3, 0.5)


def test_sections_and_lists_that_may_be_none_may_be_left_out():
    values = two_stages()
    optional = ("text_pretraining", "prompts", "labels", "evaluation")
    for key in optional:
        values.pop(key, None)
    e = config.from_dict(values)
    assert [getattr(e, key) for key in optional] == [None] * len(optional)
    assert config.from_dict(values | dict.fromkeys(optional)) == e
    assert config.from_dict(config.to_dict(e)) == e


@pytest.mark.parametrize("key", ["seed", "cpu_devices", "data", "stages", "monitoring"])
def test_what_may_not_be_none_is_missed(key):
    assert changed(lambda c: c.pop(key)).startswith(f"config.{key} is missing")


def test_text_is_missed_where_captions_are_read():
    line = changed(lambda c: c.pop("text"))
    assert line.startswith("config.text is missing, and stages.base reads captions")
