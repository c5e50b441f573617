"""GLIDE computes what the public reference computes, on weights that a formula makes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.formula import array
from golden.load import HERE, SHARED, load, nhwc

from glide_jax.types import Condition

TINY = ["tiny_base", "tiny_upsample", "tiny_base_inpaint", "tiny_upsample_inpaint"]
TINY += ["tiny_no_text_padding"]


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


def check(name, folder, inputs, *, pixel_stride=1, token_stride=1):
    """One forward pass against its golden figures, which may hold every so-manieth alone."""
    manifest, state_dict, model, params = load(name, folder)
    state_dict.clear()  # the largest are gigabytes
    assert sum(p.size for p in params.values()) == manifest["parameters"]
    golden = np.load(folder / f"{name}.npz")
    inputs = {**inputs(model.config, len(golden["t"])), **golden}
    images = ("low_res", "inpaint_image", "inpaint_mask")
    condition = Condition(
        tokens=jnp.asarray(golden["tokens"], jnp.int32),
        mask=jnp.asarray(golden["mask"]),
        **{key: nhwc(inputs[key]) for key in images if key in inputs},
    )
    encoded = jax.jit(model.encode)(params, condition)
    assert relative_error(encoded.pooled, golden["xf_proj"]) < 2e-4
    assert relative_error(encoded.tokens[:, ::token_stride], golden["xf_out_nlc"]) < 2e-4
    t = jnp.asarray(golden["t"], jnp.int32)
    out = jax.jit(model.apply)(params, nhwc(inputs["x"]), t, encoded)
    out = out[:, ::pixel_stride, ::pixel_stride]
    assert relative_error(out, nhwc(golden["out"])) < 2e-4


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.newest] * (n != "tiny_base")) for n in TINY]
)
def test_forward_pass_is_the_references(name):
    check(name, HERE, lambda config, batch: {})


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the figures of released size are not here")
@pytest.mark.parametrize(
    ("name", "stride"),
    [("base", 2), ("base_inpaint", 2), ("upsample", 8), ("upsample_inpaint", 8)],
)
def test_forward_pass_is_the_references_at_released_size(name, stride):
    def inputs(config, batch):
        size, low = config.image_size, config.low_res_size
        given = {"x": array(f"{name}x", (batch, 3, size, size))}
        if low:
            given["low_res"] = array(f"{name}low", (batch, 3, low, low), 0.5)
        if config.inpaint:
            given["inpaint_image"] = array(f"{name}img", (batch, 3, size, size), 0.5)
            given["inpaint_mask"] = array(f"{name}mask", (batch, 1, size, size)) > 0
        return given

    check(name, SHARED, inputs, pixel_stride=stride, token_stride=8)
