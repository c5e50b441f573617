"""The resizes of feature nets: by their definitions, at the edges, in both directions."""

import numpy as np
import pytest

from glide_jax.models import resizing

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 6, 9, 3), np.uint8)


def by_definition(line, size, source_of):
    """One line of numbers, interpolated at each source."""
    sources = [min(max(source_of(i), 0), len(line) - 1) for i in range(size)]
    return np.interp(sources, np.arange(len(line)), line)


@pytest.mark.parametrize("size", [4, 6, 17])
@pytest.mark.parametrize(
    ("resize", "source_of"),
    [
        (resizing.tensorflow, lambda i, scale: i * scale),
        (resizing.half_pixel, lambda i, scale: (i + 0.5) * scale - 0.5),
    ],
)
def test_resize_by_definition(resize, source_of, size):
    found = np.asarray(resize(IMAGES, size))
    assert found.dtype == np.float32
    x = IMAGES.astype(float)
    for axis in (1, 2):
        scale = x.shape[axis] / size
        x = np.apply_along_axis(by_definition, axis, x, size, lambda i: source_of(i, scale))  # noqa: B023
    np.testing.assert_allclose(found, x, atol=1e-3)


def test_the_same_size_is_the_same_image():
    square = IMAGES[:, :, :6]
    for resize in (resizing.tensorflow, resizing.half_pixel):
        np.testing.assert_array_equal(resize(square, 6), square)


def test_only_half_pixels_keep_a_mirrored_image_mirrored():
    square = IMAGES[:, :, :6]
    mirrored = square[:, :, ::-1]
    np.testing.assert_allclose(
        resizing.half_pixel(mirrored, 11),
        np.asarray(resizing.half_pixel(square, 11))[:, :, ::-1],
        atol=1e-3,
    )
    apart = (
        resizing.tensorflow(mirrored, 11) - np.asarray(resizing.tensorflow(square, 11))[:, :, ::-1]
    )
    assert abs(np.asarray(apart)).max() > 10
