"""Frames: what lies in a square that may reach beyond an image."""

import numpy as np
import pytest

from glide_jax.errors import UserError
from glide_jax.sampling.images import Frame, framed

IMAGE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


@pytest.mark.parametrize("left", [-3, 0, 5])
@pytest.mark.parametrize("top", [-2, 1, 4])
@pytest.mark.parametrize("side", [4, 8])
def test_what_is_kept_is_the_image(left, top, side):
    pixels, kept = framed(IMAGE, Frame(left, top, side), side)
    assert (pixels.shape, kept.shape) == ((side, side, 3), (1, side, side, 1))
    for row in range(side):
        for column in range(side):
            y, x = top + row, left + column
            inside = 0 <= y < 6 and 0 <= x < 8
            assert kept[0, row, column, 0] == inside
            if inside:
                np.testing.assert_array_equal(pixels[row, column], IMAGE[y, x])


@pytest.mark.parametrize("size", [3, 5, 16])
def test_a_pixel_that_is_partly_outside_is_not_kept(size):
    left = -3
    _, kept = framed(IMAGE, Frame(left, 0, 6), size)
    edges = left + np.arange(size) * 6 / size
    np.testing.assert_array_equal(kept[0, 0, :, 0], edges >= 0)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (Frame(8, 0, 4), "shows nothing of the image"),
        (Frame(0, -4, 4), "shows nothing of the image"),
        (Frame(0, 0, 0), "from 1 to 32 pixels, not 0"),
        (Frame(0, 0, 33), "from 1 to 32 pixels, not 33"),
    ],
    ids=str,
)
def test_a_frame_of_nothing_is_one_line(frame, sentence):
    with pytest.raises(UserError, match=sentence):
        framed(IMAGE, frame, 4)
