"""State dicts in and out, their family by their keys; GLIDE's own tables."""

import functools

import jax
import numpy as np
import pytest
from golden.load import HERE, SHARED
from golden.load import load as load_again

from glide_jax.errors import UserError
from glide_jax.interop import families, openai

GLIDE = ["tiny_base", "tiny_upsample", "tiny_base_inpaint", "tiny_upsample_inpaint"]
GLIDE += ["tiny_no_text_padding"]
FAMILY_OF = dict.fromkeys(GLIDE, "glide") | {
    "tiny_adm": "adm",
    "tiny_adm_legacy_attention": "adm",
    "tiny_adm_classifier": "classifier",
    "tiny_clip_image": "clip_image",
    "tiny_clip_text": "clip_text",
}
NOISING = {"diffusion_steps", "noise_schedule", "timestep_respacing"}
load = functools.lru_cache(maxsize=len(FAMILY_OF))(load_again)


def check_round_trip(name, folder):
    manifest, state_dict, model, params = load_again(name, folder)
    assert all(array.dtype == np.float32 for array in params.values())
    back = openai.to_state_dict(model, params)
    assert back.keys() == manifest["state_dict"].keys()
    for key, array in state_dict.items():
        np.testing.assert_array_equal(back[key], array, strict=True)


@pytest.mark.parametrize("name", GLIDE)
def test_state_dict_goes_out_as_it_came_in(name):
    check_round_trip(name, HERE)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the figures of released size are not here")
@pytest.mark.parametrize("name", ["base", "base_inpaint", "upsample", "upsample_inpaint"])
def test_state_dict_goes_out_as_it_came_in_at_released_size(name):
    check_round_trip(name, SHARED)


@pytest.mark.parametrize("name", GLIDE)
def test_options_make_the_model_again(name):
    manifest, state_dict, model, _ = load(name)
    options = openai.options(model)
    assert options.items() <= manifest["options"].items()
    assert manifest["options"].keys() - options.keys() == NOISING
    again = openai.build(state_dict, options)
    assert (again.config, again.shapes) == (model.config, model.shapes)


@pytest.mark.parametrize("name", FAMILY_OF)
def test_the_family_is_known_by_the_keys(name):
    keys = [*load(name)[1]]
    assert FAMILY_OF[name] == families.of_keys(keys).NAME
    assert FAMILY_OF[name] == families.of_model(load(name)[2]).NAME


def test_keys_of_nobody_are_refused():
    with pytest.raises(UserError, match=r"encoder\.weight.*glide"):
        openai.from_state_dict({"encoder.weight": np.zeros(3)}, {})


def test_options_of_another_family_are_refused():
    _, state_dict, _, _ = load("tiny_base")
    other, _, _, _ = load("tiny_adm")
    with pytest.raises(UserError, match="another model's"):
        openai.from_state_dict(state_dict, other["options"])


@pytest.mark.parametrize("name", FAMILY_OF)
def test_all_that_is_wrong_with_a_state_dict_is_named_at_once(name):
    _, whole, _, _ = load(name)
    state_dict = dict(whole)
    missing, *_, cut, flat = (k for k, a in state_dict.items() if a.ndim == 2 and a.size > 1000)
    del state_dict[missing]
    state_dict[cut] = state_dict[cut][:3]
    state_dict[flat] = state_dict[flat].ravel()
    state_dict["extra.weight"] = np.zeros(3, np.float32)
    with pytest.raises(openai.WrongKeysError) as caught:
        openai.params_of(load(name)[2], state_dict)
    message = str(caught.value)
    assert "\n" not in message
    assert f"missing {missing}" in message
    assert f"{cut} is {state_dict[cut].shape}, not {whole[cut].shape}" in message
    assert f"{flat} is {state_dict[flat].shape}, not {whole[flat].shape}" in message
    assert "unknown extra.weight" in message
    assert len(caught.value.wrong) == 4


def test_a_missing_vocabulary_is_a_missing_key_like_any_other():
    manifest, whole, _, _ = load("tiny_base")
    state_dict = {k: a for k, a in whole.items() if k != "token_embedding.weight"}
    with pytest.raises(UserError, match=r"missing token_embedding\.weight"):
        openai.from_state_dict(state_dict, manifest["options"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_comes_in_as_float32(dtype):
    manifest, state_dict, _, _ = load("tiny_base")
    half = {k: a.astype(jax.numpy.dtype(dtype)) for k, a in state_dict.items()}
    model, params = openai.from_state_dict(half, manifest["options"])
    assert {a.dtype for a in params.values()} == {np.dtype(np.float32)}
    for key, array in openai.to_state_dict(model, params).items():
        np.testing.assert_array_equal(array, half[key].astype(np.float32))


def test_weights_own_their_memory():
    """So that a file of gigabytes that they were read from can be released."""
    _, state_dict, _, params = load("tiny_base")
    arrays = [*state_dict.values()]
    assert not any(np.shares_memory(p, a) for p in params.values() for a in arrays if p.ndim == 1)


@pytest.mark.newest
def test_options_without_attention_or_of_odd_sizes_come_back():
    manifest, state_dict, _, _ = load("tiny_base")
    for change in ({"attention_resolutions": "1"}, {"channel_mult": "1,2,2"}):
        model = openai.build(state_dict, manifest["options"] | change)
        again = openai.build(state_dict, openai.options(model))
        assert again.config == model.config
    with pytest.raises(UserError, match="channel_mult"):
        openai.build(state_dict, manifest["options"] | {"channel_mult": ""})
