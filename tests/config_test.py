"""Configs are checked whole, and every complaint is one line that names the key."""

import copy
import dataclasses
import json
from pathlib import Path

import ml_collections
import pytest

from glide_jax import config as config_lib
from glide_jax.config import MAY_CHANGE, experiment_from, load_config, split_overrides
from glide_jax.errors import UserError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))
BASE = next(path for path in CONFIGS if path.name == "base.py")


def two_stages():
    """base.py as a dict, with an upsampler of the released sizes."""
    values = load_config(BASE).to_dict()
    stage = copy.deepcopy({key: values[key] for key in UPSAMPLER_KEYS})
    stage["model"] |= {"image_size": 256, "low_res_size": 64, "channel_mult": (1, 1, 2, 2, 4, 4)}
    return values | {"upsampler": stage}


UPSAMPLER_KEYS = [field.name for field in dataclasses.fields(config_lib.StageConfig)]


def experiment(*overrides):
    return config_lib.with_overrides(config_lib.from_dict(two_stages()), overrides)


def complaint(*overrides):
    """The one line that these overrides give."""
    with pytest.raises(UserError) as caught:
        experiment(*overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(change):
    """The line of complaint about a config once `change` has been at it."""
    values = two_stages()
    change(values)
    with pytest.raises(UserError) as caught:
        experiment_from(ml_collections.ConfigDict(values))
    return str(caught.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_opens_with_its_command_and_builds(path):
    experiment_from(load_config(path))
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


def test_overrides_have_the_types_of_their_keys():
    e = experiment(
        "data.path=none",
        "training.batch_size=32",
        "training.batch_size=64",
        "training.learning_rate=1e-4",
        "model.inpaint=TRUE",
        "model.channel_mult=1,2,2",
        "model.attention_resolutions=(16,)",
        "evaluation.splits=test, train",
        "evaluation.guidance_scales=2",
        "prompts=('red, or nearly', 'blue')",
        "sampling.steps=100",
        "sampling.sampler='ddim'",
        "upsampler.training.batch_size=8",
    )
    assert e.data.path == "none"
    assert e.training.batch_size == 64
    assert e.training.learning_rate == 1e-4
    assert e.model.inpaint is True
    assert e.model.channel_mult == (1, 2, 2)
    assert e.model.attention_resolutions == (16,)
    assert e.evaluation.splits == ("test", "train")
    assert e.evaluation.guidance_scales == (2.0,)
    assert e.prompts == ("red, or nearly", "blue")
    assert (e.sampling.steps, e.sampling.sampler) == ("100", "ddim")
    assert e.upsampler is not None
    assert e.upsampler.training.batch_size == 8
    assert experiment("upsampler=None").upsampler is None


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trainig.batch_size=64", "config.trainig.batch_size: no such key; did you mean config.tr"),
        ("batch_size=64", "config.batch_size: no such key; did you mean config.training.batch_si"),
        ("model.qqqqqqqqqqq=1", "config.model.qqqqqqqqqqq: no such key; known: model.image_size, "),
        ("seed.x=1", "config.seed.x: no such key"),
        ("=1", "config: no such key"),
        ("training.batch_size=many", "config.training.batch_size must be a whole number, not 'm"),
        ("training.batch_size=", "config.training.batch_size must be a whole number, not ''"),
        ("training.batch_size", "--config.training.batch_size has no value; write --config.train"),
        ("training.batch_size=[[[", "config.training.batch_size must be a whole number, not '[[["),
        ("training.learning_rate=1e999", "config.training.learning_rate must be a number, not inf"),
        ("model.inpaint=yes", "config.model.inpaint must be true or false, not 'yes'"),
        ("model.channel_mult=1,two", "config.model.channel_mult must be a whole number, not '1'"),
        ("training=64", "config.training is a section; set one of its keys, such as config.trai"),
    ],
)
def test_a_bad_override_says_what_is_meant(override, expected):
    assert complaint(override).startswith(expected)


def test_an_override_of_a_stage_that_is_not_there():
    line = complaint("upsampler=none", "upsampler.training.batch_size=8")
    assert line.startswith("config.upsampler is None in this config; config.upsampler.training.ba")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.batch_size=0", "config.training.batch_size must be 1 or more, not 0"),
        ("training.learning_rate=0", "config.training.learning_rate must be above 0, not 0.0"),
        ("training.caption_dropout=1.1", "config.training.caption_dropout must be from 0 to 1"),
        ("training.lr_decay=linear", "config.training.lr_decay must be one of constant, cosine"),
        ("diffusion.prediction=noise", "config.diffusion.prediction must be one of eps, x_0, v"),
        ("diffusion.schedule=cosine", "config.diffusion.schedule must be one of squared_cosine"),
        ("model.dtype=float16", "config.model.dtype must be one of float32, bfloat16, not 'floa"),
        ("model.channels=40", "config.model.norm_groups must be a divisor of channels, 40, not 32"),
        ("model.channel_mult=()", "config.model.channel_mult must be one or more positive num"),
        ("model.image_size=36", "config.model.image_size must be divisible by 8, as channel_m"),
        ("model.attention_resolutions=7", "config.model.attention_resolutions must be among the"),
        ("model.head_channels=128", "config.model.head_channels must be a divisor of level 16's"),
        ("model.text_heads=3", "config.model.text_width must be divisible by text_heads, 3, not"),
        ("model.low_res_size=8", "config.model.low_res_size must be 0: the first stage has noth"),
        ("upsampler.model.low_res_size=96", "config.upsampler.model.low_res_size must be 0 or a"),
        ("upsampler.model.low_res_size=256", "config.upsampler.model.low_res_size must be 0 or a"),
        ("upsampler.model.low_res_size=32", "config.upsampler.model.low_res_size must be model."),
        ("upsampler.sampling.batch_size=0", "config.upsampler.sampling.batch_size must be 1 or "),
        ("text.vocab_size=0", "config.text.vocab_size must be 2 or more, not 0"),
    ],
)
def test_values_that_make_no_sense(override, expected):
    assert complaint(override).startswith(expected)


def test_the_middle_block_attends_wherever_the_others_do():
    line = complaint(
        "model.attention_resolutions=()", "model.head_channels=192", "model.channels=64"
    )
    assert line.endswith("a divisor of level 8's 256 channels, not 192")


def test_a_config_file_with_overrides():
    config = load_config(BASE, ["training.batch_size=8", "upsampler=none"])
    assert config.to_dict()["training"]["batch_size"] == 8
    assert experiment_from(config) == config_lib.with_overrides(
        experiment_from(load_config(BASE)), ["training.batch_size=8"]
    )


def test_command_line_is_parted():
    argv = "main --config=a.py --config.seed 1 --workdir w --config.data.path=a=b --config.x --y z"
    rest, overrides = split_overrides(argv.split())
    assert rest == ["main", "--config=a.py", "--workdir", "w", "--y", "z"]
    assert overrides == ["seed=1", "data.path=a=b", "x"]
    assert experiment("data.path=a=b").data.path == "a=b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def get_config(:", "line 1: SyntaxError: invalid syntax"),
        ("x = 1\n1 / 0", "line 2: ZeroDivisionError: division by zero"),
        ("def get_config():\n    return {}['a']", "line 2: KeyError: 'a'"),
        ("import nonsuch_module", "line 1: ModuleNotFoundError: No module named 'nonsuch_module'"),
        ("def config(): pass", "has no get_config(); see configs/quickstart.py"),
        ("def get_config(): return {}", "get_config() must return an ml_collections.ConfigDict"),
    ],
)
def test_a_broken_file_says_where(tmp_path, text, expected):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_nearest():
    with pytest.raises(UserError, match=r"no config file .*; did you mean .*quickstart\.py\?"):
        load_config(BASE.with_name("quikstart.py"))
    with pytest.raises(UserError, match=r"no config file /nonsuch/a\.py; is the path right\?"):
        load_config("/nonsuch/a.py")


def test_json_carries_an_experiment_whole():
    for path in CONFIGS:
        e = experiment_from(load_config(path))
        assert config_lib.from_dict(json.loads(json.dumps(config_lib.to_dict(e)))) == e


def test_with_overrides_changes_that_alone():
    e = experiment()
    other = config_lib.with_overrides(e, ["sampling.eta=1", "sampling.sampler=ddpm"])
    sampling = dataclasses.replace(e.sampling, eta=1.0, sampler="ddpm")
    assert other == dataclasses.replace(e, sampling=sampling)


def test_differences_give_both_values():
    a, b = experiment(), experiment("training.batch_size=32", "seed=7")
    assert config_lib.differences(a, a) == []
    assert config_lib.differences(a, b) == ["seed: 0 → 7", "training.batch_size: 2048 → 32"]
    without = experiment("upsampler=none")
    assert config_lib.differences(without, a) == ["upsampler: None → a section"]


def test_what_may_change_on_resuming():
    a = experiment()
    may = ["training.num_steps=9", "training.fsdp=2", "prompts=a", "data.workers=1"]
    may += ["sampling.eta=0", "upsampler.sampling.steps=3", "upsampler.training.log_every_steps=3"]
    assert len(config_lib.differences(a, experiment(*may))) == len(may)
    assert config_lib.conflicts(a, experiment(*may)) == []
    must = experiment("model.dropout=0.5", *may)
    assert config_lib.conflicts(a, must) == ["model.dropout: 0.1 → 0.5"]


def test_what_may_change_names_real_keys():
    keys = config_lib.to_dict(experiment())
    for pattern in MAY_CHANGE:
        section, _, name = pattern.partition(".")
        assert section in keys
        assert not name or "*" in name or name in keys[section]
