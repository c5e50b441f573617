"""GLIDE computes what the public reference computes, on weights that a formula makes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.load import HERE, load, nhwc

from glide_jax.errors import UserError
from glide_jax.interop import openai
from glide_jax.types import Condition

TINY = ["tiny_base", "tiny_upsample", "tiny_base_inpaint", "tiny_upsample_inpaint"]
TINY += ["tiny_no_text_padding"]


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("name", TINY)
def test_forward_pass_is_the_references(name):
    manifest, _, model, params = load(name)
    assert sum(p.size for p in params.values()) == manifest["parameters"]
    golden = np.load(HERE / f"{name}.npz")
    pictures = ("low_res", "inpaint_image", "inpaint_mask")
    condition = Condition(
        tokens=jnp.asarray(golden["tokens"], jnp.int32),
        mask=jnp.asarray(golden["mask"]),
        **{key: nhwc(golden[key]) for key in pictures if key in golden},
    )
    encoded = jax.jit(model.encode)(params, condition)
    assert relative_error(encoded.pooled, golden["xf_proj"]) < 2e-4
    assert relative_error(encoded.tokens, golden["xf_out_nlc"]) < 2e-4
    t = jnp.asarray(golden["t"], jnp.int32)
    out = jax.jit(model.apply)(params, nhwc(golden["x"]), t, encoded)
    assert relative_error(out, nhwc(golden["out"])) < 2e-4


@pytest.mark.parametrize("name", TINY)
def test_state_dict_goes_out_as_it_came_in(name):
    _, state_dict, _, params = load(name)
    back = openai.to_state_dict(params)
    assert back.keys() == state_dict.keys()
    for key, array in state_dict.items():
        np.testing.assert_array_equal(back[key], array, strict=True)


def test_a_state_dict_of_another_model_names_all_that_is_wrong():
    manifest, state_dict, _, _ = load("tiny_base")
    del state_dict["time_embed.0.bias"]
    state_dict["out.2.weight"] = state_dict["out.2.weight"][:3]
    state_dict["extra.weight"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as caught:
        openai.from_state_dict(state_dict, manifest["options"])
    message = str(caught.value)
    assert "missing time_embed.0.bias" in message
    assert "out.2.weight is (3, 32, 3, 3), not (6, 32, 3, 3)" in message
    assert "unknown extra.weight" in message
