"""Where two experiments differ, and which differences a resumed run may have."""

import dataclasses

from config_toys import cascade, experiment, of_family

from glide_jax import config


def test_differences_give_both_values():
    a, b = experiment(), experiment("stages.base.training.batch_size=32", "seed=7")
    assert config.differences(a, a) == []
    assert config.differences(a, b) == [
        "seed: 0 → 7",
        "stages.base.training.batch_size: 2048 → 32",
    ]
    without = experiment("stages.upsampler=none")
    assert config.differences(without, a) == ["stages.upsampler: None → a section"]
    assert config.conflicts(without, a) == ["stages.upsampler: None → a section"]


def test_models_of_two_families_differ_by_that():
    a, b = experiment("stages.upsampler=none", "prompts=none"), of_family("clip")
    expected = ["stages.base.model.family: 'glide' → 'clip'"]
    assert config.differences(a, b) == expected
    assert config.conflicts(a, b) == expected
    other = of_family("clip", "stages.base.model.image.layers=3")
    assert config.conflicts(b, other) == ["stages.base.model.image.layers: 1 → 3"]


def test_what_may_change_on_resuming():
    a = experiment()
    may = [
        "stages.base.training.num_steps=9",
        "stages.base.training.fsdp=2",
        "prompts=a",
        "data.workers=1",
        "stages.base.sampling.eta=0",
        "stages.upsampler.sampling.steps=3",
        "stages.upsampler.training.log_every_steps=3",
    ]
    assert len(config.differences(a, experiment(*may))) == len(may)
    assert config.conflicts(a, experiment(*may)) == []
    must = experiment("stages.base.model.dropout=0.5", *may)
    assert config.conflicts(a, must) == ["stages.base.model.dropout: 0.1 → 0.5"]


def test_what_may_change_is_the_same_whatever_stages_are_called():
    a = config.from_dict(cascade(16, 64, 256))
    name = list(a.stages)[-1]
    b = config.with_overrides(a, [f"stages.{name}.training.num_steps=9"])
    assert config.differences(a, b) == [f"stages.{name}.training.num_steps: 1100000 → 9"]
    assert config.conflicts(a, b) == []
    c = config.with_overrides(a, [f"stages.{name}.training.batch_size=9"])
    assert config.conflicts(a, c) == [f"stages.{name}.training.batch_size: 2048 → 9"]
    assert config.conflicts(a, c, config.MAY_CHANGE_BEFORE) == []


def test_what_may_change_names_real_keys():
    stage = config.to_dict(experiment())["stages"]["base"]
    keys = config.to_dict(experiment()) | stage
    frozen = {field.name: None for field in dataclasses.fields(config.FrozenTextConfig)}
    keys["text"] = keys["text"] | frozen
    for pattern in config.MAY_CHANGE_BEFORE:
        section, _, name = pattern.removeprefix("stages.*.").strip("*").partition(".")
        assert section in keys, pattern
        assert not name or "*" in name or name in keys[section], pattern


def test_initial_weights_may_have_moved_but_not_appear_or_vanish():
    key = "stages.base.training.init_from"
    none, here, there = (experiment(f"{key}={path}") for path in ("''", "a/run", "b/run"))
    assert config.conflicts(here, there) == []
    assert config.conflicts(none, here) == [f"{key}: '' → 'a/run'"]
    assert config.conflicts(here, none) == [f"{key}: 'a/run' → ''"]
