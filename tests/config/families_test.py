"""A stage's sections and their keys are its family's."""

import dataclasses
import json
import typing

import pytest
from config_toys import (
    ADM,
    DENOISERS_ALONE,
    GUIDES,
    MODELS,
    changed,
    complaint,
    experiment,
    family_values,
    of_family,
    two_stages,
)

from glide_jax import config
from glide_jax.errors import UserError


def test_every_family_is_tried_here():
    assert config.FAMILIES.keys() == MODELS.keys() | {"glide"}


@pytest.mark.parametrize("family", MODELS)
def test_a_section_becomes_its_family_s_dataclass_and_goes_through_json(family):
    e = of_family(family)
    assert type(e.first_stage.model) is config.FAMILIES[family]
    guide = isinstance(e.first_stage, config.GuideStageConfig)
    assert guide == (family in GUIDES)
    assert e.samples_images != guide
    assert config.from_dict(json.loads(json.dumps(config.to_dict(e)))) == e


@pytest.mark.parametrize("family", MODELS)
def test_every_key_of_a_family_is_its_config_s_and_no_other_s(family):
    other = next(name for name in MODELS if name != family)
    foreign = MODELS[other].keys() - MODELS[family].keys()
    for key in foreign:
        line = complaint(f"stages.base.model.{key}=1", family=family)
        assert line.startswith(f"config.stages.base.model.{key}: no such")


@pytest.mark.parametrize("family", GUIDES)
def test_a_guide_has_no_keys_that_are_a_denoiser_s(family):
    for section, keys in DENOISERS_ALONE.items():
        for key in keys:
            line = complaint(f"stages.base.{section}.{key}=1", family=family)
            assert line.startswith(f"config.stages.base.{section}.{key}: no such key"), key
            values = family_values(family)
            values["stages"]["base"][section][key] = 1
            with pytest.raises(UserError, match=rf"stages\.base\.{section}\.{key}: no such key"):
                config.from_dict(values)
    line = complaint("stages.base.sampling.eta=1", family=family)
    assert line.startswith("config.stages.base.sampling.eta: no such key")


@pytest.mark.parametrize("family", ["glide", "adm"])
def test_a_denoiser_needs_its_own_keys(family):
    def values():
        return two_stages() if family == "glide" else family_values(family)

    for section, keys in DENOISERS_ALONE.items():
        for key in keys:
            line = changed(lambda c, s=section, k=key: c["stages"]["base"][s].pop(k), values())
            assert line.startswith(f"config.stages.base.{section}.{key} is missing")
    line = changed(lambda c: c["stages"]["base"].pop("sampling"), values())
    assert line.startswith("config.stages.base.sampling is missing")


def test_overrides_reach_a_family_s_own_keys():
    model = of_family("adm", "stages.base.model.num_classes=0").first_stage.model
    assert model.num_classes == 0
    model = of_family("clip", "stages.base.model.image.layers=3").first_stage.model
    assert model.image.layers == 3
    line = complaint("stages.base.model.image.layer=3", family="clip")
    assert line == (
        "config.stages.base.model.image.layer: no such key; did you mean "
        "config.stages.base.model.image.layers?"
    )
    line = complaint("stages.base.model.num_classes=many", family="classifier")
    assert line == "config.stages.base.model.num_classes must be an integer, not 'many'"


@pytest.mark.parametrize("stage", ["base", "upsampler"])
def test_an_unknown_family_names_the_nearest(stage):
    override = f"stages.{stage}.model.family=glid"
    key = override.partition("=")[0]
    known = ", ".join(sorted(config.FAMILIES))
    expected = f"config.{key}: unknown family 'glid': did you mean 'glide'? known: {known}"
    assert complaint(override) == expected
    assert complaint(override, key.replace("family", "text_width") + "=3") == expected


def test_another_family_needs_that_family_s_keys():
    line = complaint("stages.base.model.family=adm")
    assert line.startswith("config.stages.base.model.inpaint: no such key")
    model = {k: v for k, v in ADM.items() if k != "num_heads"}
    line = changed(lambda c: c["stages"]["base"].update(model=model))
    assert line.startswith("config.stages.base.model.num_heads is missing")


def test_a_family_is_not_guessed():
    line = changed(lambda c: c["stages"]["base"]["model"].pop("family"))
    assert line.startswith("config.stages.base.model.family is missing")
    line = changed(lambda c: c["stages"]["base"]["model"].update(family=3))
    assert line == "config.stages.base.model.family must be text, not 3"


def test_a_dataclass_is_of_its_own_family():
    for family, kind in config.FAMILIES.items():
        assert typing.get_args(typing.get_type_hints(kind)["family"]) == (family,)
    model = experiment().first_stage.model
    with pytest.raises(UserError, match="family must be one of glide, not 'adm'"):
        dataclasses.replace(model, family="adm")


def test_sections_that_a_family_has_no_use_for_are_refused():
    for family in ("adm", "classifier"):
        values = family_values(family) | {"prompts": ("a cat",)}
        line = f"config.prompts must be left out: a model of family '{family}' reads no captions"
        with pytest.raises(UserError, match=line):
            config.from_dict(values)
        values = family_values(family) | {"text": two_stages()["text"]}
        line = f"config.text must be left out: a model of family '{family}' reads no captions"
        with pytest.raises(UserError, match=line):
            config.from_dict(values)
    training = dict(two_stages()["stages"]["base"]["training"])
    for key in ("init_from", *DENOISERS_ALONE["training"]):
        del training[key]
    pretraining = {"hidden_width": 8, "training": training}
    assert config.from_dict(two_stages() | {"text_pretraining": pretraining}).text_pretraining
    assert config.from_dict(family_values("imagen") | {"text_pretraining": pretraining})
    for family in MODELS.keys() - {"imagen"}:
        values = family_values(family) | {"text_pretraining": pretraining}
        line = f"must be left out: model.family={family} has nothing that it would train"
        with pytest.raises(UserError, match=line):
            config.from_dict(values)
