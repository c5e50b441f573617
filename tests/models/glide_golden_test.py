"""GLIDE computes what the public reference computes, on weights that a formula makes."""

import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glide_jax.interop import openai
from glide_jax.types import Condition

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from formula import weight  # noqa: E402

TINY = ["tiny_base", "tiny_upsample", "tiny_base_inpaint", "tiny_upsample_inpaint"]
TINY += ["tiny_no_text_padding"]


def load(name):
    manifest = json.loads((GOLDEN / f"{name}.manifest.json").read_text())
    state_dict = {k: weight(k, tuple(shape)) for k, shape in manifest["state_dict"].items()}
    return manifest, state_dict, *openai.from_state_dict(state_dict, manifest["options"])


def nhwc(golden, name):
    return jnp.asarray(golden[name].transpose(0, 2, 3, 1)) if name in golden else None


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("name", TINY)
def test_forward_pass_is_the_references(name):
    manifest, _, model, params = load(name)
    assert sum(p.size for p in params.values()) == manifest["parameters"]
    golden = np.load(GOLDEN / f"{name}.npz")
    condition = Condition(
        tokens=jnp.asarray(golden["tokens"], jnp.int32),
        mask=jnp.asarray(golden["mask"]),
        low_res=nhwc(golden, "low_res"),
        inpaint_image=nhwc(golden, "inpaint_image"),
        inpaint_mask=nhwc(golden, "inpaint_mask"),
    )
    encoded = jax.jit(model.encode)(params, condition)
    assert relative_error(encoded.pooled, golden["xf_proj"]) < 2e-4
    assert relative_error(encoded.tokens, golden["xf_out_nlc"]) < 2e-4
    t = jnp.asarray(golden["t"], jnp.int32)
    out = jax.jit(model.apply)(params, nhwc(golden, "x"), t, encoded)
    assert relative_error(out, golden["out"].transpose(0, 2, 3, 1)) < 2e-4


@pytest.mark.parametrize("name", TINY)
def test_state_dict_goes_out_as_it_came_in(name):
    _, state_dict, _, params = load(name)
    back = openai.to_state_dict(params)
    assert back.keys() == state_dict.keys()
    for key, array in state_dict.items():
        np.testing.assert_array_equal(back[key], array, strict=True)
