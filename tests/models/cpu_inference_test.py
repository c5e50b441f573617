"""A CPU's convolutions and maxima for inference are XLA's, of every size, stride and padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glide_jax.models import kernels
from glide_jax.models.cpu import depthwise, inference

LAYOUT = ("NHWC", "HWIO", "NHWC")
RANDOM = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RANDOM.standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
    ("h", "w", "width_in", "width_out", "height", "width", "stride"),
    [
        (9, 8, 5, 7, 3, 3, 1),
        (9, 8, 64, 66, 3, 3, 1),  # Winograd's
        (6, 10, 64, 64, 3, 3, 1),
        (9, 8, 5, 7, 3, 3, 2),
        (8, 11, 5, 7, 3, 3, 2),
        (9, 8, 5, 7, 1, 7, 1),
        (9, 8, 5, 7, 5, 5, 1),
        (9, 8, 5, 7, 1, 1, 2),
        (9, 8, 5, 7, 1, 1, 1),
    ],
)
def test_convolutions(h, w, width_in, width_out, height, width, stride, padding):
    x, kernel = normal(2, h, w, width_in), normal(height, width, width_in, width_out)
    expected = jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT
    )
    found = kernels.any_convolution(x, kernel, stride, padding)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize(("stride", "padding"), [(1, "SAME"), (1, "VALID"), (2, "VALID")])
@pytest.mark.parametrize(("h", "w"), [(9, 8), (7, 3)])
def test_maxima(h, w, stride, padding):
    x = normal(2, h, w, 3) - 5  # a padding of zeros would be seen
    window, strides = (1, 3, 3, 1), (1, stride, stride, 1)
    expected = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, padding)
    np.testing.assert_array_equal(inference.max_pool(x, stride, padding), expected)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("h", "w"), [(8, 9), (7, 14)])
def test_depthwise_convolutions(h, w, stride, size):
    x, kernel = normal(2, h, w, 6), normal(size, size, 1, 6)
    expected = jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=LAYOUT, feature_group_count=6
    )
    np.testing.assert_allclose(depthwise.convolve(x, kernel, stride), expected, atol=1e-5)
