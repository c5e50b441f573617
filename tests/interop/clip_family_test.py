"""CLIP's two encoders, in and out under the reference's names."""

import dataclasses

import numpy as np
import pytest
from golden.load import HERE, SHARED, load

from glide_jax.config import ClipImageConfig, ClipTextConfig
from glide_jax.errors import UserError
from glide_jax.interop import openai
from glide_jax.interop.families import clip_image, clip_text
from glide_jax.models.clip import image_encoder, text_encoder

RELEASED = pytest.mark.skipif(not SHARED.exists(), reason="the released manifests are not here")
NAMES = [
    ("tiny_clip_image", HERE),
    ("tiny_clip_text", HERE),
    pytest.param("clip_image", SHARED, marks=[pytest.mark.slow, RELEASED]),
    pytest.param("clip_text", SHARED, marks=[pytest.mark.slow, RELEASED]),
]
IMAGE = image_encoder(
    ClipImageConfig(image_size=12, patch_size=6, width=30, layers=3, heads=5, num_timesteps=9),
    embedding_width=7,
    dtype="float32",
)
TEXT = text_encoder(
    ClipTextConfig(width=12, layers=1, heads=3),
    vocab_size=11,
    text_length=5,
    embedding_width=7,
    dtype="float32",
)


@pytest.mark.parametrize(("name", "folder"), NAMES)
def test_state_dict_goes_out_as_it_came_in(name, folder):
    manifest, state_dict, model, params = load(name, folder)
    assert {path: p.shape for path, p in params.items()} == {
        path: shape.shape for path, shape in model.shapes.items()
    }
    back = openai.to_state_dict(model, params)
    assert back.keys() == state_dict.keys()
    for key, array in state_dict.items():
        np.testing.assert_array_equal(back[key], array, strict=True)
    assert openai.options(model) == manifest["options"]


@pytest.mark.parametrize("model", [IMAGE, TEXT], ids=["image", "text"])
def test_weights_come_back_as_they_went_out(model):
    rng = np.random.default_rng(0)
    params = {k: rng.standard_normal(s.shape, np.float32) for k, s in model.shapes.items()}
    state_dict = openai.to_state_dict(model, params)
    again, back = openai.from_state_dict(state_dict, openai.options(model))
    functions = dict.fromkeys(("init", "apply"))
    assert dataclasses.replace(again, **functions) == dataclasses.replace(model, **functions)
    assert back.keys() == params.keys()
    for path, array in params.items():
        np.testing.assert_array_equal(back[path], array, strict=True)


def test_each_encoder_knows_its_own_keys():
    image, text = (openai.to_state_dict(m, _zeros(m)).keys() for m in (IMAGE, TEXT))
    assert clip_image.is_mine(image)
    assert clip_text.is_mine(text)
    assert not clip_image.is_mine(text)
    assert not clip_text.is_mine(image)


def test_kernels_are_turned_and_tables_are_not():
    for model in (IMAGE, TEXT):
        params = {k: np.arange(v.size).reshape(v.shape) for k, v in _zeros(model).items()}
        state_dict = openai.to_state_dict(model, params)
        kernel = params["transformer.blocks.0.mlp_in.kernel"]
        np.testing.assert_array_equal(state_dict["blocks.block_0.f_mlp.f_1.w"], kernel.T)
        table = params["positional_embedding"]
        np.testing.assert_array_equal(state_dict["blocks.input.w_pos"], table)


def test_a_clip_that_knows_no_noise_is_refused():
    state_dict = openai.to_state_dict(IMAGE, _zeros(IMAGE))
    with pytest.raises(UserError, match="num_timesteps must be 1 or more, not 0"):
        openai.from_state_dict(state_dict, openai.options(IMAGE) | {"n_timestep": 0})


def test_options_of_the_other_encoder_are_refused():
    with pytest.raises(UserError, match=r"clip_image.*'image_size'"):
        openai.from_state_dict(openai.to_state_dict(IMAGE, _zeros(IMAGE)), openai.options(TEXT))


def _zeros(model):
    return {path: np.zeros(shape.shape, shape.dtype) for path, shape in model.shapes.items()}
