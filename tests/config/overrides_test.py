"""`--config.KEY=VALUE` has the type of its key, or says what is wrong."""

import dataclasses

import pytest
from config_toys import complaint, experiment

from glide_jax import config


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
        ("model.qqqqqqqqqqq=1", "config.model.qqqqqqqqqqq: no such key; known: model.family, "),
        ("seed.x=1", "config.seed.x: no such key"),
        ("=1", "config: no such key"),
        ("training.batch_size=many", "config.training.batch_size must be a whole number, not 'm"),
        ("training.batch_size=", "config.training.batch_size must be a whole number, not ''"),
        ("training.batch_size", "--config.training.batch_size has no value; write --config.train"),
        ("training.batch_size=[[[", "config.training.batch_size must be a whole number, not '[[["),
        ("training.learning_rate=1e999", "config.training.learning_rate must be a number, not inf"),
        ("model.inpaint=yes", "config.model.inpaint must be true or false, not 'yes'"),
        ("model.channel_mult=1,two", "config.model.channel_mult must be a number, not '1'"),
        ("training=64", "config.training is a section; set one of its keys, such as config.trai"),
        ("model=adm", "config.model is a section; set one of its keys, such as config.model.fam"),
        ("upsampler=1", "config.upsampler is a section; set one of its keys, such as config.ups"),
    ],
)
def test_a_bad_override_says_what_is_meant(override, expected):
    assert complaint(override).startswith(expected)


def test_an_override_of_a_stage_that_is_not_there():
    line = complaint("upsampler=none", "upsampler.training.batch_size=8")
    assert line.startswith("config.upsampler is None in this config; config.upsampler.training.ba")
    line = complaint("upsampler=none", "upsampler.model.channels=8")
    assert line.startswith("config.upsampler is None in this config; config.upsampler.model.chan")


def test_command_line_is_parted():
    argv = "main --config=a.py --config.seed 1 --workdir w --config.data.path=a=b --config.x --y z"
    rest, overrides = config.split_overrides(argv.split())
    assert rest == ["main", "--config=a.py", "--workdir", "w", "--y", "z"]
    assert overrides == ["seed=1", "data.path=a=b", "x"]
    assert experiment("data.path=a=b").data.path == "a=b"


def test_with_overrides_changes_that_alone():
    e = experiment()
    other = config.with_overrides(e, ["sampling.eta=1", "sampling.sampler=ddpm"])
    sampling = dataclasses.replace(e.sampling, eta=1.0, sampler="ddpm")
    assert other == dataclasses.replace(e, sampling=sampling)
