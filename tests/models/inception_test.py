"""FID's Inception: its parts by definition, and its features against the public reference's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.inception import MANIFEST, figures, inception_state_dict

from glide_jax.evaluation.features import inception as inception_net
from glide_jax.models import inception, resizing
from glide_jax.models.batch_norm import EPSILON, folded
from glide_jax.models.kernels import any_convolution

NET = inception.inception()
RANDOM = np.random.default_rng(0)

FIELDS = {
    "features_64": "first_pool",
    "features_192": "second_pool",
    "features_768": "mixed_6e",
    "features_2048": "pool",
    "spatial": "spatial",
    "logits": "logits",
    "logits_unbiased": "unbiased_logits",
}
"""Golden array → field of InceptionFeatures."""


def normal(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def test_every_weight_of_the_reference_has_its_place():
    shapes = inception_net.LAYOUT.reference_shapes(NET.shapes)
    assert shapes == {key: tuple(shape) for key, shape in MANIFEST["state_dict"].items()}
    assert sum(np.prod(s.shape) for s in NET.shapes.values()) == MANIFEST["parameters"]


@pytest.mark.newest
def test_shapes_of_the_features():
    params = {k: np.broadcast_to(np.float32(1), s.shape) for k, s in NET.shapes.items()}
    prepared = NET.prepare(params)
    x = jax.ShapeDtypeStruct((3, inception.SIZE, inception.SIZE, 3), np.float32)
    widths = [f.shape for f in jax.eval_shape(NET.apply, prepared, x)]
    assert widths == [(3, n) for n in (64, 192, 768, 2048, 2023, 1008, 1008)]


def test_init_gives_weights_of_these_shapes():
    found = jax.eval_shape(NET.init, jax.random.key(0))
    assert {k: (s.shape, s.dtype) for k, s in found.items()} == {
        k: (s.shape, s.dtype) for k, s in NET.shapes.items()
    }


def test_batch_normalisation_is_folded():
    params = {"a.kernel": normal(3, 3, 4, 5), "a.norm.scale": normal(5), "a.norm.bias": normal(5)}
    params |= {"a.norm.mean": normal(5), "a.norm.variance": abs(normal(5)) + 0.1}
    kernel, bias = folded(params, "a")
    x = normal(2, 7, 7, 4)
    plain = np.asarray(any_convolution(jnp.asarray(x), params["a.kernel"], 2, "VALID"))
    scale, shift, mean, variance = (
        params[f"a.norm.{part}"] for part in ("scale", "bias", "mean", "variance")
    )
    expected = scale * (plain - mean) / np.sqrt(variance + EPSILON) + shift
    found = any_convolution(jnp.asarray(x), kernel, 2, "VALID") + bias[None, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_mean_pools_leave_the_padding_out():
    x = normal(1, 5, 4, 2)
    found = np.asarray(inception._mean_pool(jnp.asarray(x)))
    for i, j in np.ndindex(5, 4):
        window = x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        np.testing.assert_allclose(found[:, i, j], window.mean((1, 2)), atol=1e-6)


@pytest.mark.parametrize("block", inception.BLOCKS)
def test_first_convolutions_are_those_of_the_block_s_input(block):
    """A mean pool commutes with the 1×1 convolution behind it; the maximum of 7c doesn't."""
    names = inception.first_of(block)
    sizes = inception.BLOCKS[block]
    assert names
    assert all(sizes[name][2:] == (1, 1) for name in names)
    assert ("branch_pool" in names) == ("branch_pool" in sizes and block != "mixed_7c")
    assert all(sizes[name][0] == max(s[0] for s in sizes.values()) for name in names)


def read(images, resize):
    """The network's input from golden images, NCHW."""
    images = jnp.moveaxis(jnp.asarray(images), 1, -1)
    if resize == "pytorch":
        return inception.network_input_of_pytorch(resizing.half_pixel(images, inception.SIZE))
    return inception.network_input(resizing.tensorflow(images, inception.SIZE))


CASES = {
    "inception_small": "tensorflow",
    "inception_96x80": "tensorflow",
    "inception_299": "tensorflow",
    "inception_pytorch_fid_resize": "pytorch",
}


@pytest.mark.parametrize("case", CASES)
def test_network_input(case):
    golden = figures(case)
    found = np.moveaxis(np.asarray(read(golden["images"], CASES[case]))[:, ::13, ::13], -1, 1)
    np.testing.assert_allclose(found, golden["network_input"], atol=1e-5)


@pytest.fixture(scope="module")
def network():
    """Input → features, with the formula's weights."""
    arrays, layout = inception_state_dict(), inception_net.LAYOUT
    params = {
        path: rule.from_torch(arrays[key])
        for key, (path, rule) in layout.places(NET.shapes).items()
    }
    prepared, apply = NET.prepare(params), jax.jit(NET.apply)
    return lambda x: apply(prepared, x)


@pytest.mark.parametrize(
    "case",
    [
        "inception_small",
        pytest.param("inception_96x80", marks=pytest.mark.slow),
        pytest.param("inception_299", marks=pytest.mark.slow),
        pytest.param("inception_pytorch_fid_resize", marks=pytest.mark.slow),
    ],
)
def test_features_are_the_reference_s(case, network):
    golden = figures(case)
    found = network(read(golden["images"][:2], CASES[case]))
    for key, field in FIELDS.items():
        expected = golden[key][:2]
        ours = np.asarray(getattr(found, field))
        np.testing.assert_allclose(ours, expected, atol=5e-5 * abs(expected).max(), err_msg=key)
