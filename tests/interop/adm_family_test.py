"""ADM's and its classifier's tables: there and back without a bit's difference."""

import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from golden.formula import weight
from golden.load import HERE, SHARED, load

from glide_jax.config import AdmConfig, experiment_from, load_config
from glide_jax.errors import UserError
from glide_jax.interop import openai, tables
from glide_jax.interop.families import adm as family
from glide_jax.interop.families import classifier as classifier_family
from glide_jax.interop.released import FILES
from glide_jax.models.adm import adm
from glide_jax.models.classifier import classifier

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = ["tiny_adm", "tiny_adm_legacy_attention", "tiny_adm_upsample", "tiny_adm_classifier"]
released = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.exists(), reason="the figures of released size are not here"),
]
tiny = functools.cache(load)  # released sizes are too large to keep

BOTH_SIZES = [
    *((name, HERE) for name in TINY),
    pytest.param("adm_64", SHARED, marks=released),
    pytest.param("adm_64_classifier", SHARED, marks=released),
]


@pytest.mark.parametrize(("name", "folder"), BOTH_SIZES)
def test_state_dict_goes_out_as_it_came_in(name, folder):
    _, state_dict, model, params = load(name, folder)
    back = openai.to_state_dict(model, params)
    assert back.keys() == state_dict.keys()
    for key, array in state_dict.items():
        np.testing.assert_array_equal(back[key], array, strict=True)


@pytest.mark.parametrize(("name", "folder"), BOTH_SIZES)
def test_options_make_the_model_again(name, folder):
    manifest, state_dict, model, _ = load(name, folder)
    options = openai.options(model)
    assert options.items() <= manifest["options"].items()
    again = openai.build(state_dict, manifest["options"] | options)
    assert (type(again), again.config) == (type(model), model.config)
    assert again.shapes == model.shapes


@pytest.mark.parametrize("heads", [{"heads": 2}, {"d": 1}])
def test_the_new_order_puts_all_queries_before_all_keys(heads):
    made = tables.by_role(tables.rules([("qkv", "qkv", "conv1d")]), "qkv", heads)
    bias = np.array(["q0", "k0", "v0", "q1", "k1", "v1"])
    _, rule = tables.match("qkv.bias", made)
    assert rule.to_torch(bias).tolist() == ["q0", "q1", "k0", "k1", "v0", "v1"]
    assert rule.from_torch(rule.to_torch(bias)).tolist() == bias.tolist()
    _, rule = tables.match("qkv.kernel", made)
    kernel = np.stack([bias, bias])
    assert rule.to_torch(kernel)[:, 1, 0].tolist() == ["q0", "q1", "k0", "k1", "v0", "v1"]
    np.testing.assert_array_equal(rule.from_torch(rule.to_torch(kernel)), kernel)


@pytest.mark.newest
@pytest.mark.parametrize(
    "heads", [{"num_heads": 2, "num_head_channels": -1}, {"num_head_channels": 8}]
)
def test_one_model_goes_out_in_either_order(heads):
    """A file of the other order with the other option is the same model."""
    manifest, state_dict, _, _ = tiny("tiny_adm")
    options = manifest["options"] | heads
    old = options | {"use_new_attention_order": False}
    model, params = openai.from_state_dict(state_dict, options)
    other = openai.build(state_dict, old)
    turned = openai.to_state_dict(other, params)
    differ = {key for key in turned if not np.array_equal(turned[key], state_dict[key])}
    assert differ == {key for key in turned if ".qkv." in key}
    _, same = openai.from_state_dict(turned, old)
    jax.tree.map(np.testing.assert_array_equal, same, params)
    assert openai.options(other) == openai.options(model) | {"use_new_attention_order": False}


def test_the_number_of_classes_is_the_arrays():
    manifest, state_dict, _, _ = tiny("tiny_adm")
    state_dict = state_dict | {"label_emb.weight": weight("few", (10, 128))}
    model, params = openai.from_state_dict(state_dict, manifest["options"])
    assert model.config.num_classes == 10
    assert params["label_embedding"].shape == (10, 128)
    del state_dict["label_emb.weight"]
    with pytest.raises(UserError, match=r"missing label_emb\.weight"):
        openai.from_state_dict(state_dict, manifest["options"])
    unconditional = manifest["options"] | {"class_cond": False}
    model, params = openai.from_state_dict(state_dict, unconditional)
    assert model.config.num_classes == 0
    assert openai.to_state_dict(model, params).keys() == state_dict.keys()


def test_levels_that_attend_nowhere_are_nowhere_on_the_way_back():
    manifest, state_dict, model, _ = tiny("tiny_adm")
    nowhere = dataclasses.replace(model.config, attention_resolutions=())
    options = openai.options(adm(nowhere, learn_variance=True))
    again = openai.build(state_dict, manifest["options"] | options)
    assert again.config == nowhere


@pytest.mark.newest
@pytest.mark.parametrize("kind", [family, classifier_family])
def test_the_first_level_of_512_pixels_has_half_the_channels(kind):
    options = FILES["adm-512" if kind is family else "adm-512-classifier"].options
    model = kind.build({}, options)
    assert model.config.channel_mult == (0.5, 1, 1, 2, 2, 4, 4)
    assert model.config.widths[0] == model.config.channels // 2
    assert openai.options(model).items() <= options.items()


def test_an_upsampler_of_the_new_order_is_refused():
    _, _, model, _ = tiny("tiny_adm_upsample")
    config = dataclasses.replace(model.config, attention_order="by_role")
    with pytest.raises(UserError, match="attention_order=by_role in an upsampler"):
        openai.options(adm(config, learn_variance=True))


def test_fractions_that_the_reference_can_t_read_are_refused():
    _, _, model, _ = tiny("tiny_adm")
    mult = tuple(m / 2 for m in model.config.channel_mult)
    config = dataclasses.replace(model.config, channels=64, channel_mult=mult)
    with pytest.raises(UserError, match="channel_mult="):
        openai.options(adm(config, learn_variance=True))


def test_released_sizes_without_a_channel_mult():
    manifest, _, _, _ = tiny("tiny_adm")
    own = manifest["options"] | {"image_size": 256, "channel_mult": ""}
    model = family.build({}, own | {"attention_resolutions": "32,16,8"})
    assert model.config.channel_mult == (1, 1, 2, 2, 4, 4)
    assert model.config.attention_resolutions == (32, 16, 8)
    assert openai.options(model)["channel_mult"] == ""


@pytest.mark.newest
@pytest.mark.parametrize(
    ("file", "name", "kind"),
    [
        ("adm_imagenet64.py", "adm-64", family),
        ("classifier.py", "adm-64-classifier", classifier_family),
    ],
)
def test_the_released_config_describes_the_released_model(file, name, kind):
    config = experiment_from(load_config(CONFIGS / file)).first_stage.model
    model = kind.build({}, FILES[name].options)
    assert dataclasses.replace(config, dtype="float32") == model.config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_mult": "", "image_size": 32}, "no default channel_mult for 32 pixels"),
        ({"channel_mult": "0.5,1"}, "channel_mult must be a list such as"),
        ({"channel_mult": "1,two"}, "channel_mult must be a list such as"),
        ({"attention_resolutions": ""}, "attention_resolutions must be a list such as"),
        ({"attention_resolutions": "0"}, "attention_resolutions must be a list such as"),
        ({"num_head_channels": -1, "num_heads_upsample": 2}, "num_heads_upsample must be -1"),
        ({"num_channels": 40}, "norm_groups must be a divisor of every level's channels"),
    ],
)
def test_options_that_make_no_sense_are_refused(changes, message):
    manifest, _, _, _ = tiny("tiny_adm")
    with pytest.raises(UserError, match=message):
        family.build({}, manifest["options"] | changes)


def test_options_of_another_model_are_refused():
    manifest, state_dict, _, _ = tiny("tiny_adm_classifier")
    other, _, _, _ = tiny("tiny_adm")
    with pytest.raises(UserError, match="classifier_pool"):
        openai.from_state_dict(state_dict, other["options"])
    adaptive = manifest["options"] | {"classifier_pool": "adaptive"}
    with pytest.raises(UserError, match="must be 'attention', not 'adaptive'"):
        openai.from_state_dict(state_dict, adaptive)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("tiny_adm", {"norm_groups": 16}),
        ("tiny_adm_upsample", {"channel_mult": (1, 2, 3)}),
        ("tiny_adm_classifier", {"norm_groups": 16}),
        ("tiny_adm_classifier", {"channel_mult": (1, 2, 3, 2)}),
        ("tiny_adm_classifier", {"head_channels": 32}),
    ],
)
def test_what_the_reference_has_no_option_for_is_refused(name, changes):
    _, _, model, _ = tiny(name)
    config = dataclasses.replace(model.config, **changes)
    changed = (
        adm(config, learn_variance=True) if isinstance(config, AdmConfig) else classifier(config)
    )
    key, _ = next(iter(changes.items()))
    with pytest.raises(UserError, match=f"{key}="):
        openai.options(changed)


def test_families_are_told_apart():
    kinds = {name: list(tiny(name)[1]) for name in TINY}
    kinds["tiny_base"] = list(tiny("tiny_base")[1])
    assert [n for n, keys in kinds.items() if family.is_mine(keys)] == TINY[:3]
    assert [n for n, keys in kinds.items() if classifier_family.is_mine(keys)] == TINY[3:]
