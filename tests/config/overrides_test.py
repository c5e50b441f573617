"""`--config.KEY=VALUE` has the type of its key, or says what is wrong."""

import dataclasses

import pytest
from config_toys import cascade, complaint, experiment

from glide_jax import config


def test_overrides_have_the_types_of_their_keys():
    e = experiment(
        "data.path=none",
        "stages.base.training.batch_size=32",
        "stages.base.training.batch_size=64",
        "stages.base.training.learning_rate=1e-4",
        "stages.base.model.inpaint=TRUE",
        "stages.base.model.channel_mult=1,2,2",
        "stages.base.model.attention_resolutions=(16,)",
        "evaluation.splits=test, train",
        "evaluation.guidance_scales=2",
        "prompts=('red, or nearly', 'blue')",
        "stages.base.sampling.steps=100",
        "stages.base.sampling.sampler='ddim'",
        "stages.upsampler.training.batch_size=8",
    )
    base = e.stages["base"]
    assert e.data.path == "none"
    assert base.training.batch_size == 64
    assert base.training.learning_rate == 1e-4
    assert base.model.inpaint is True
    assert base.model.channel_mult == (1, 2, 2)
    assert base.model.attention_resolutions == (16,)
    assert e.evaluation.splits == ("test", "train")
    assert e.evaluation.guidance_scales == (2.0,)
    assert e.prompts == ("red, or nearly", "blue")
    assert (base.sampling.steps, base.sampling.sampler) == ("100", "ddim")
    assert e.stages["upsampler"].training.batch_size == 8


def test_none_leaves_out_a_stage_or_what_may_be_left_out():
    assert list(experiment("stages.upsampler=None").stages) == ["base"]
    assert list(experiment("stages.base=none").stages) == ["upsampler"]
    e = experiment("prompts=none", "evaluation=none")
    assert (e.prompts, e.evaluation) == (None, None)
    assert complaint("seed=none") == "config.seed must be an integer, not None"
    assert complaint("data=none") == "config.data must be a section of keys, not None"
    line = complaint("stages.upsampler=none", "stages.base=none")
    assert line == "config.stages must be one stage or more, not {}"
    e = config.with_overrides(config.from_dict(cascade(16, 64, 256)), ["stages.x_256=none"])
    assert list(e.stages) == ["z_16", "y_64"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "stages.base.trainig.batch_size=64",
            "config.stages.base.trainig.batch_size: no such key; did you mean "
            "config.stages.base.training.batch_size?",
        ),
        (
            "stages.bas.training.batch_size=64",
            "config.stages.bas.training.batch_size: no such key; did you mean "
            "config.stages.base.training.batch_size?",
        ),
        ("sede=1", "config.sede: no such key; did you mean config.seed?"),
        ("data.=1", "config.data.: no such key; config.data has source, path, split, workers"),
        ("data..=1", "config.data..: no such key; config.data has source, path, split, workers"),
        (
            "training.fsdp=64",
            "config.training.fsdp: no such key; did you mean config.stages.base.training.fsdp or "
            "config.stages.upsampler.training.fsdp?",
        ),
        (
            "upsampler.training.fsdp=64",
            "config.upsampler.training.fsdp: no such key; did you mean "
            "config.stages.upsampler.training.fsdp?",
        ),
        (
            "batch_size=64",
            "config.batch_size: no such key; did you mean config.stages.base.training.batch_size "
            "or config.stages.base.sampling.batch_size or ",
        ),
        (
            "stages.base.model.qqqqqqqqqqq=1",
            "config.stages.base.model.qqqqqqqqqqq: no such key; config.stages.base.model has "
            "family, ",
        ),
        ("qqqqqqqqqqq.x=1", "config.qqqqqqqqqqq.x: no such key; config has seed, cpu_devices, "),
        ("stages.qqq=none", "config.stages.qqq: no such key; config.stages has base, upsampler"),
        ("seed.x=1", "config.seed.x: no such key"),
        ("=1", "config: no such key; config has seed, "),
        (
            "stages.base.training.batch_size=many",
            "config.stages.base.training.batch_size must be an integer, not 'm",
        ),
        (
            "stages.base.training.batch_size=",
            "config.stages.base.training.batch_size must be an integer, not ''",
        ),
        (
            "stages.base.training.batch_size",
            "--config.stages.base.training.batch_size has no value; write --config.stages.base.tra",
        ),
        (
            "stages.base.training.batch_size=[[[",
            "config.stages.base.training.batch_size must be an integer, not '[[[",
        ),
        (
            "stages.base.training.learning_rate=1e999",
            "config.stages.base.training.learning_rate must be a number, not inf",
        ),
        (
            "stages.base.model.inpaint=yes",
            "config.stages.base.model.inpaint must be true or false, not 'yes'",
        ),
        (
            "stages.base.model.channel_mult=1,two",
            "config.stages.base.model.channel_mult must be a number, not '1'",
        ),
        (
            "stages.base.training=64",
            "config.stages.base.training is a section; set one of its keys, such as "
            "config.stages.base.training.batch_size",
        ),
        (
            "stages.base.model=adm",
            "config.stages.base.model is a section; set one of its keys, such as "
            "config.stages.base.model.family",
        ),
        (
            "stages.upsampler=1",
            "config.stages.upsampler is a section; set one of its keys, such as "
            "config.stages.upsampler.model.family",
        ),
        (
            "stages=base",
            "config.stages is a section; set one of its keys, such as config.stages.base.model.fam",
        ),
        ("stages=none", "config.stages must be sections by name, not None"),
        (
            "text_pretraining.hidden_width=8",
            "config.text_pretraining is left out of this config: config.text_pretraining.hid",
        ),
    ],
)
def test_a_bad_override_says_what_is_meant(override, expected):
    assert complaint(override).startswith(expected)


def test_an_override_of_a_stage_that_is_not_there():
    line = complaint("stages.upsampler=none", "stages.upsampler.training.fsdp=8")
    assert line == (
        "config.stages.upsampler.training.fsdp: no such key; did you mean "
        "config.stages.base.training.fsdp?"
    )
    line = complaint("stages.upsampler=none", "stages.upsampler=none")
    assert line.startswith("config.stages.upsampler: no such key; ")


def test_command_line_is_parted():
    argv = "main --config=a.py --config.seed 1 --workdir w --config.data.path=a=b --config.x --y z"
    rest, overrides = config.split_overrides(argv.split())
    assert rest == ["main", "--config=a.py", "--workdir", "w", "--y", "z"]
    assert overrides == ["seed=1", "data.path=a=b", "x"]
    assert experiment("data.path=a=b").data.path == "a=b"


def test_with_overrides_changes_that_alone():
    e = experiment()
    other = config.with_overrides(
        e, ["stages.base.sampling.eta=1", "stages.base.sampling.sampler=ddpm"]
    )
    base = e.stages["base"]
    sampling = dataclasses.replace(base.sampling, eta=1.0, sampler="ddpm")
    stages = e.stages | {"base": dataclasses.replace(base, sampling=sampling)}
    assert other == dataclasses.replace(e, stages=stages)
