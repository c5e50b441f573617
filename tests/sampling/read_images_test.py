"""Images and masks as people have them."""

import os

import numpy as np
import pytest
from PIL import Image

from glide_jax.errors import UserError
from glide_jax.sampling.images import at_size, read_image, read_mask, shrunk_mask

COLOURS = np.arange(12 * 16 * 3).reshape(12, 16, 3).astype(np.uint8)
IMAGE = Image.fromarray(COLOURS)


def test_a_file_an_image_and_an_array_are_one(tmp_path):
    IMAGE.save(tmp_path / "a.png")
    ways = (tmp_path / "a.png", str(tmp_path / "a.png"), IMAGE, COLOURS, COLOURS / 127.5 - 1)
    for given in ways:
        np.testing.assert_array_equal(read_image(given), COLOURS)


def test_every_mode_is_read_as_it_looks():
    grey = IMAGE.convert("L")
    shown = np.repeat(np.asarray(grey)[..., None], 3, axis=-1)
    np.testing.assert_array_equal(read_image(grey), shown)
    np.testing.assert_array_equal(read_image(np.asarray(grey)), shown)
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(wide), shown)
    palette = IMAGE.quantize(8)
    np.testing.assert_array_equal(read_image(palette), np.asarray(palette.convert("RGB")))
    np.testing.assert_allclose(read_image(IMAGE.convert("CMYK")).astype(int), COLOURS, atol=1)


def test_what_is_transparent_lies_on_white():
    clear = IMAGE.copy()
    clear.putalpha(0)
    assert (read_image(clear) == 255).all()


def test_an_image_is_turned_as_its_camera_was_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    IMAGE.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(COLOURS, 3))


def test_a_stage_sees_the_middle_square():
    seen = at_size(COLOURS, 12)
    assert seen.shape == (1, 12, 12, 3)
    np.testing.assert_allclose((seen[0] + 1) * 127.5, COLOURS[:, 2:14], atol=1e-4)
    assert at_size(COLOURS, 8).shape == (1, 8, 8, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.full((4, 4, 3), 255.0), r"in \[-1, 1\]"),
        (np.full((4, 4, 3), np.nan), "NaN"),
        (np.zeros((4, 4, 2), np.uint8), "no image"),
        (np.zeros((0, 4, 3), np.uint8), "no image"),
        (np.zeros((4, 4, 3), np.int64), "uint8"),
        ("nowhere.png", r"nowhere\.png: No such file"),
        (7, "not int"),
    ],
)
def test_what_is_no_image_is_one_line(given, message):
    with pytest.raises(UserError, match=message) as error:
        read_image(given)
    assert "\n" not in str(error.value)


def white(height, width, place):
    mask = np.zeros((height, width), np.uint8)
    mask[place] = 255
    return mask


LEFT = white(12, 16, np.s_[:, :8])


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: it is a pipe; give a file"):
        read_image(tmp_path / "a.png")


def test_white_is_repainted_in_every_mode():
    kept = read_mask(LEFT, COLOURS, 12)[0, :, :, 0]
    assert kept.shape == (12, 12)
    assert (kept[:, :6] == 0).all()
    assert (kept[:, 6:] == 1).all()
    image = Image.fromarray(LEFT)
    clear = Image.merge("LA", (Image.new("L", image.size, 255), image))
    modes = [image.convert(mode) for mode in ("1", "RGB", "P")]
    for given in (*modes, clear, LEFT > 0, LEFT / 255, LEFT // 2 + 20):
        np.testing.assert_array_equal(read_mask(given, COLOURS, 12)[0, :, :, 0], kept)


def test_a_mask_of_another_size_fits_and_of_another_shape_does_not():
    large = np.kron(LEFT, np.ones((5, 5), np.uint8))
    np.testing.assert_array_equal(read_mask(large, COLOURS, 12), read_mask(LEFT, COLOURS, 12))
    with pytest.raises(UserError, match="the mask is 16×16 and the image 16×12"):
        read_mask(white(16, 16, np.s_[:8]), COLOURS, 12)


def test_a_mask_without_white_is_a_mistake():
    with pytest.raises(UserError, match="has no white"):
        read_mask(np.zeros((12, 16), np.uint8), COLOURS, 12)


def test_a_small_pixel_is_kept_where_all_of_it_is():
    kept = read_mask(white(8, 8, (3, 5)), np.zeros((8, 8, 3), np.uint8), 8)
    small = shrunk_mask(kept, 4)
    assert small.shape == (1, 4, 4, 1)
    assert small[0, 1, 2, 0] == 0
    assert small.sum() == 15
