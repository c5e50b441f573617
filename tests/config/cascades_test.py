"""Any number of stages, of any names: the sizes give their order, and each enlarges the last."""

import itertools

import pytest
from config_toys import ADM, cascade, changed, complaint, experiment, family_values

from glide_jax import config
from glide_jax.errors import UserError


def test_stages_are_in_the_order_of_their_sizes_however_they_are_listed():
    values = cascade(16, 64, 256, 1024)
    names = ["z_16", "y_64", "x_256", "w_1024"]
    expected = config.from_dict(values)
    assert list(expected.stages) == names
    assert expected.first_stage is expected.stages["z_16"]
    for order in itertools.permutations(names):
        stages = {name: values["stages"][name] for name in order}
        e = config.from_dict(values | {"stages": stages})
        assert list(e.stages) == names
        assert e == expected
        assert list(config.from_dict(config.to_dict(e)).stages) == names


def test_a_stage_s_name_is_free():
    values = cascade(16, 64, 256)
    names = ("base", "upsampler_256", "upsampler_1024")
    stages = dict(zip(names, values["stages"].values(), strict=True))
    e = config.from_dict(values | {"stages": stages})
    assert tuple(e.stages) == names
    e = config.with_overrides(e, ["stages.upsampler_1024.sampling.batch_size=1"])
    assert e.stages["upsampler_1024"].sampling.batch_size == 1
    assert config.from_dict(values | {"stages": {"model": stages["base"]}}).first_stage


@pytest.mark.parametrize("name", ["", "Base", "2nd", "up-sampler", "a.b", "samples", "../x"])
def test_a_stage_s_name_is_a_folder_s(name):
    values = cascade(16)
    values["stages"] = {name: values["stages"]["z_16"]}
    with pytest.raises(UserError, match="not a stage's name; take lower-case letters"):
        config.from_dict(values)
    values["stages"] = {"text_pretraining": values["stages"][name]}
    with pytest.raises(UserError, match="and neither text_pretraining nor samples"):
        config.from_dict(values)


def test_a_stage_enlarges_what_the_one_before_it_generates():
    def change(low_res):
        def at(values):
            values["stages"]["x_256"]["model"]["low_res_size"] = low_res

        return at

    for wrong in (16, 32, 0):
        assert changed(change(wrong), cascade(16, 64, 256)) == (
            "config.stages.x_256.model.low_res_size must be stages.y_64.model.image_size, 64, "
            f"not {wrong}"
        )
    line = complaint("stages.upsampler.model.low_res_size=32")
    assert line == (
        "config.stages.upsampler.model.low_res_size must be stages.base.model.image_size, 64, "
        "not 32"
    )


def test_two_stages_of_one_size_are_no_cascade():
    values = cascade(16)
    values["stages"]["twin"] = values["stages"]["z_16"]
    with pytest.raises(UserError, match=r"low_res_size must be stages\.\w+\.model\.image_size, 16"):
        config.from_dict(values)


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("family", ["clip", "classifier"])
def test_a_guide_is_no_stage_of_a_cascade(family, position):
    values = cascade(8, 32, 64)
    name = list(values["stages"])[position]
    values["stages"][name] = family_values(family)["stages"]["base"]
    error = rf"stages\.{name}\.model\.family={family} can't be a stage of a cascade: it generates"
    with pytest.raises(UserError, match=error):
        config.from_dict(values)


def test_families_may_be_mixed_in_a_cascade():
    values = cascade(64, 256)
    values["stages"]["y_256"]["model"] = ADM | {
        "image_size": 256,
        "attention_resolutions": (),
        "low_res_size": 64,
    }
    e = config.from_dict(values)
    assert e.stages["y_256"].model.low_res_size == 64
    assert e.text_length == 128


def test_an_upsampler_may_stand_alone():
    e = experiment("stages.base=none")
    assert list(e.stages) == ["upsampler"]
    assert e.first_stage.model.low_res_size == 64
    e = experiment("stages.base.model.low_res_size=16")
    assert e.first_stage.model.low_res_size == 16


def test_one_stage_alone():
    e = config.from_dict(cascade(16, 64, 256))
    assert list(e.only("y_64").stages) == ["y_64"]
    assert e.only("y_64").stages["y_64"] == e.stages["y_64"]
    assert e.only("y_64").text_pretraining is None
    assert e.only(*reversed(e.stages)).stages == e.stages
