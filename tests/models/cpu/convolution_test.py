"""A CPU's 3×3 convolutions equal the definition, forwards and backwards, by each method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glide_jax.models import kernels, layers
from glide_jax.models.cpu import convolution
from glide_jax.models.cpu.convolution import convolve
from glide_jax.models.remat import remat
from glide_jax.parallel.mesh import batch_sharding, make_mesh

# In the order in which the methods are tried: few pixels, tiny images, little work, odd sizes, few
# channels, and large ones.
METHODS = {
    (1, 8, 8, 256, 256): "patches",
    (70, 2, 2, 8, 8): "patches",
    (2, 8, 8, 64, 64): "direct",
    (2, 33, 32, 96, 96): "direct",
    (8, 32, 32, 6, 192): "direct",
    (1, 32, 16, 128, 160): "winograd",
    (2, 128, 128, 40, 32): "winograd",
    (2, 128, 128, 136, 32): "direct_winograd_gradient",
    (2, 128, 64, 192, 320): "winograd",
}
BANDED = ("winograd", "direct_winograd_gradient")


def toy(shape, seed=0):
    b, h, w, c, width_out = shape
    keys = jax.random.split(jax.random.key(seed), 3)
    x = jax.random.normal(keys[0], (b, h, w, c))
    kernel = jax.random.normal(keys[1], (3, 3, c, width_out)) / np.sqrt(9 * c)
    return x, kernel, jax.random.normal(keys[2], (b, h, w, width_out))


def with_gradients(function):
    def run(x, kernel, dy):
        y, pull = jax.vjp(function, x, kernel)
        return y, *pull(dy)

    return jax.jit(run)


def assert_near(ours, theirs, tolerance):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize(("shape", "method"), METHODS.items(), ids=str)
def test_each_method_is_the_definition(shape, method):
    assert convolution.method(shape[:4], shape[4]) is getattr(convolution, method)
    given = toy(shape)
    ours, theirs = (
        with_gradients(convolve)(*given),
        with_gradients(convolution.direct)(*given),
    )
    # A kernel's gradient sums as many products as there are pixels.
    assert_near(ours, theirs, 1e-5)


def test_the_definition_is_a_sum_over_neighbours():
    x, kernel, _ = toy((1, 4, 6, 2, 3))
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    around = [[padded[:, i : i + 4, j : j + 6] for j in range(3)] for i in range(3)]
    expected = np.einsum("ijbhwc,ijco->bhwo", np.array(around), np.asarray(kernel, np.float64))
    for compute in (
        convolution.direct,
        convolution.patches,
        convolution.winograd,
        convolution.direct_winograd_gradient,
    ):
        np.testing.assert_allclose(compute(x, kernel), expected, atol=1e-5)


@pytest.mark.newest
@pytest.mark.parametrize("method", BANDED)
@pytest.mark.parametrize("band", [1, 2**11, 2**13])
def test_bands_change_nothing_but_rounding(method, band, monkeypatch):
    given, compute = toy((2, 12, 8, 16, 8)), getattr(convolution, method)
    in_one = with_gradients(compute)(*given)
    monkeypatch.setattr(convolution, "LARGE", 1)
    monkeypatch.setattr(convolution, "BAND", band)
    jax.clear_caches()
    assert convolution._rows_per_band((2, 12, 8, 16), 8) < 12
    assert_near(with_gradients(compute)(*given), in_one, 1e-6)


@pytest.mark.newest
def test_images_split_over_devices_are_convolved_where_they_lie():
    shape = (8, 16, 16, 64, 128)
    x, kernel, dy = toy(shape)
    split = batch_sharding(make_mesh(fsdp=1))
    placed = jax.device_put(x, split), kernel, jax.device_put(dy, split)
    y, dx, dk = with_gradients(convolve)(*placed)
    assert y.sharding.is_equivalent_to(split, 4)
    assert dx.sharding.is_equivalent_to(split, 4)
    assert_near((y, dx, dk), with_gradients(convolve)(x, kernel, dy), 1e-5)


@pytest.mark.parametrize(
    ("platform", "dtype", "ours"),
    [("cpu", "float32", True), ("cpu", "bfloat16", False), ("gpu", "float32", False)],
)
def test_layers_choose_by_platform_and_dtype(platform, dtype, ours, monkeypatch):
    asked = []
    monkeypatch.setattr(kernels, "platform_of", lambda x: platform)
    monkeypatch.setattr(
        kernels.cpu_convolution,
        "convolve",
        lambda *given: (asked.append(1), convolve(*given))[1],
    )
    conv = layers.conv(4, 6, 3, jnp.dtype(dtype), nnx.Rngs(0))
    assert conv(jnp.ones((1, 4, 4, 4))).dtype == dtype
    assert bool(asked) == ours
    halving = layers.conv(4, 6, 3, jnp.dtype(dtype), nnx.Rngs(0), stride=2)
    assert halving(jnp.ones((1, 4, 4, 4))).shape == (1, 2, 2, 6)
    assert bool(asked) == ours


def test_remat_keeps_the_result_alone_not_its_tiles():
    x, kernel, _ = toy((1, 32, 16, 128, 160))
    block = remat("products", lambda x: jax.nn.silu(convolve(jnp.sin(x), kernel)))
    _, pull = jax.vjp(block, x)
    kept = sum(leaf.size for leaf in jax.tree.leaves(pull))
    assert kept <= x.size + kernel.size + 32 * 16 * 160 + 10
