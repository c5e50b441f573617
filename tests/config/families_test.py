"""A model section's keys are its family's."""

import dataclasses
import json
import typing

import pytest
from config_toys import ADM, MODELS, changed, complaint, experiment, of_family, two_stages

from glide_jax import config
from glide_jax.errors import UserError


def test_every_family_is_tried_here():
    assert config.FAMILIES.keys() == MODELS.keys() | {"glide"}


@pytest.mark.parametrize("family", MODELS)
def test_a_section_becomes_its_family_s_dataclass_and_goes_through_json(family):
    e = of_family(family)
    assert type(e.model) is config.FAMILIES[family]
    assert config.from_dict(json.loads(json.dumps(config.to_dict(e)))) == e


@pytest.mark.parametrize("family", MODELS)
def test_every_key_of_a_family_is_its_config_s_and_no_other_s(family):
    other = next(name for name in MODELS if name != family)
    foreign = MODELS[other].keys() - MODELS[family].keys()
    for key in foreign:
        assert complaint(f"model.{key}=1", family=family).startswith(f"config.model.{key}: no such")


def test_overrides_reach_a_family_s_own_keys():
    assert of_family("adm", "model.num_classes=0").model.num_classes == 0
    assert of_family("clip", "model.image.layers=3").model.image.layers == 3
    line = complaint("model.image.layer=3", family="clip")
    assert line == "config.model.image.layer: no such key; did you mean config.model.image.layers?"
    line = complaint("model.num_classes=many", family="classifier")
    assert line == "config.model.num_classes must be a whole number, not 'many'"


@pytest.mark.parametrize("override", ["model.family=glid", "upsampler.model.family=glid"])
def test_an_unknown_family_names_the_nearest(override):
    key = override.partition("=")[0]
    known = ", ".join(sorted(config.FAMILIES))
    expected = f"config.{key}: unknown family 'glid': did you mean 'glide'? known: {known}"
    assert complaint(override) == expected
    assert complaint(override, key.replace("family", "text_width") + "=3") == expected


def test_another_family_needs_that_family_s_keys():
    assert complaint("model.family=adm").startswith("config.model.inpaint: no such key")
    line = changed(lambda c: c.update(model={k: v for k, v in ADM.items() if k != "num_heads"}))
    assert line.startswith("config.model.num_heads is missing")


def test_a_family_is_not_guessed():
    line = changed(lambda c: c["model"].pop("family"))
    assert line.startswith("config.model.family is missing")
    assert (
        changed(lambda c: c["model"].update(family=3)) == "config.model.family must be text, not 3"
    )


def test_a_dataclass_is_of_its_own_family():
    for family, kind in config.FAMILIES.items():
        assert typing.get_args(typing.get_type_hints(kind)["family"]) == (family,)
    model = experiment().model
    with pytest.raises(UserError, match="family must be one of glide, not 'adm'"):
        dataclasses.replace(model, family="adm")


def test_a_cascade_is_of_models_that_draw():
    values = two_stages()
    values["upsampler"]["model"] = ADM | {
        "image_size": 256,
        "attention_resolutions": (),
        "low_res_size": 64,
    }
    assert config.from_dict(values).upsampler.model.low_res_size == 64
    values["upsampler"]["model"] = MODELS["clip"]
    with pytest.raises(UserError, match=r"upsampler.model.family=clip can't be put together"):
        config.from_dict(values)


def test_an_upsampler_may_stand_alone():
    e = experiment("model.low_res_size=16", "upsampler=none")
    assert list(e.stages) == [config.BASE]
    assert e.stages[config.BASE].model.low_res_size == 16
