"""ADM and its classifier compute what the public reference computes, on weights of a formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.formula import array
from golden.load import HERE, SHARED, load, nhwc

from glide_jax.types import Condition

released = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.exists(), reason="the figures of released size are not here"),
]


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


def condition(name, model, golden):
    """What the golden forward pass was conditioned on; its low-res image is of the formula."""
    size = model.config.low_res_size
    low_res = nhwc(array(f"{name}low", (1, 3, size, size), 0.5)) if size else None
    label = jnp.asarray(golden["y"], jnp.int32) if "y" in golden else None
    return Condition(label=label, low_res=low_res)


@pytest.mark.parametrize(
    ("name", "folder", "stride"),
    [
        ("tiny_adm", HERE, 1),
        ("tiny_adm_legacy_attention", HERE, 1),
        pytest.param("tiny_adm_upsample", HERE, 4, marks=pytest.mark.newest),
        pytest.param("adm_64", SHARED, 4, marks=released),
    ],
)
def test_forward_pass_is_the_references(name, folder, stride):
    manifest, _, model, params = load(name, folder)
    assert sum(p.size for p in params.values()) == manifest["parameters"]
    golden = np.load(folder / f"{name}.npz")
    x_t = nhwc(golden["x"] if "x" in golden else array(f"{name}x", (1, 3, 64, 64)))
    encoded = model.encode(params, condition(name, model, golden))
    out = jax.jit(model.apply)(params, x_t, jnp.asarray(golden["t"], jnp.int32), encoded)
    assert relative_error(out[:, ::stride, ::stride], nhwc(golden["out"])) < 2e-4


@pytest.mark.slow
def test_classifiers_logits_and_gradient_are_the_references():
    manifest, _, model, params = load("tiny_adm_classifier")
    assert sum(p.size for p in params.values()) == manifest["parameters"]
    golden = np.load(HERE / "tiny_adm_classifier.npz")
    t, label = jnp.asarray(golden["t"], jnp.int32), jnp.asarray(golden["y"])

    def log_likelihood(x_t):
        logits = model.apply(params, x_t, t)
        return jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], 1).sum(), logits

    gradient, logits = jax.jit(jax.grad(log_likelihood, has_aux=True))(nhwc(golden["x"]))
    assert relative_error(logits, golden["logits"]) < 2e-4
    assert relative_error(gradient, nhwc(golden["guidance_gradient"])) < 2e-4


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the figures of released size are not here")
def test_classifiers_logits_are_the_references_at_released_size():
    name = "adm_64_classifier"
    _, _, model, params = load(name, SHARED)
    golden = np.load(SHARED / f"{name}.npz")
    x_t = nhwc(array(f"{name}x", (2, 3, 64, 64)))
    logits = jax.jit(model.apply)(params, x_t, jnp.asarray(golden["t"], jnp.int32))
    assert relative_error(logits, golden["logits"]) < 2e-4
