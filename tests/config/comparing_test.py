"""Where two experiments differ, and which differences a resumed run may have."""

from config_toys import experiment, of_family

from glide_jax import config


def test_differences_give_both_values():
    a, b = experiment(), experiment("training.batch_size=32", "seed=7")
    assert config.differences(a, a) == []
    assert config.differences(a, b) == ["seed: 0 → 7", "training.batch_size: 2048 → 32"]
    without = experiment("upsampler=none")
    assert config.differences(without, a) == ["upsampler: None → a section"]


def test_models_of_two_families_differ_by_that():
    a, b = experiment("upsampler=none"), of_family("clip")
    assert config.differences(a, b) == ["model.family: 'glide' → 'clip'"]
    assert config.conflicts(a, b) == ["model.family: 'glide' → 'clip'"]
    other = of_family("clip", "model.image.layers=3")
    assert config.conflicts(b, other) == ["model.image.layers: 1 → 3"]


def test_what_may_change_on_resuming():
    a = experiment()
    may = ["training.num_steps=9", "training.fsdp=2", "prompts=a", "data.workers=1"]
    may += ["sampling.eta=0", "upsampler.sampling.steps=3", "upsampler.training.log_every_steps=3"]
    assert len(config.differences(a, experiment(*may))) == len(may)
    assert config.conflicts(a, experiment(*may)) == []
    must = experiment("model.dropout=0.5", *may)
    assert config.conflicts(a, must) == ["model.dropout: 0.1 → 0.5"]


def test_what_may_change_names_real_keys():
    keys = config.to_dict(experiment())
    for pattern in config.MAY_CHANGE_BEFORE:
        section, _, name = pattern.partition(".")
        assert section in keys
        assert not name or "*" in name or name in keys[section]
