import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from glide_jax.data import images
from glide_jax.errors import UserError


def _bytes(image, file_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _gradient(height=5, width=7):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 30, y * 40, (x + y) * 10], axis=-1).astype(np.uint8)


def test_rgb_png_comes_back_exactly():
    pixels = _gradient()
    decoded = images.decode(images.encode_png(pixels), "a.png")
    np.testing.assert_array_equal(decoded, pixels)
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    # What EXIF says is how the camera was held; the stored rows and columns come of undoing it.
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
        8: lambda a: np.rot90(a, -1),
    }
    upright = _gradient()
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(images.decode(_bytes(stored, exif=exif), "a"), upright)


def test_alpha_is_composited_on_white():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = [0, 255, 51]  # black: invisible, opaque, a fifth
    decoded = images.decode(_bytes(Image.fromarray(rgba)), "a")
    np.testing.assert_array_equal(decoded[0, :, 0], [255, 0, 204])


def test_transparent_palette_entry_is_white():
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    decoded = images.decode(_bytes(image, transparency=0), "a")
    np.testing.assert_array_equal(decoded[0], [[255, 255, 255], [200, 100, 50]])


def test_palette_gives_colours_not_indices():
    image = Image.new("P", (1, 1), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    np.testing.assert_array_equal(images.decode(_bytes(image), "a")[0, 0], [200, 100, 50])


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    decoded = images.decode(_bytes(image, "JPEG", quality=95), "a")
    assert decoded.shape == (8, 8, 3)
    assert np.abs(decoded.astype(int) - [255, 0, 0]).max() < 10


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_greyscale_is_scaled_not_clipped(file_format):
    levels = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    decoded = images.decode(_bytes(Image.fromarray(levels), file_format), "a")
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 1, 128, 255])


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_other_modes_have_three_channels(mode):
    assert images.decode(_bytes(Image.new(mode, (3, 2))), "a").shape == (2, 3, 3)


def test_animation_gives_its_first_frame():
    frames = [Image.new("L", (2, 2), level) for level in (10, 200)]
    data = _bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (images.decode(data, "a") == 10).all()


def _cut(data):
    return data[: len(data) // 2]


_NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
_BROKEN = {
    "empty": b"",
    "text": b"not an image at all",
    "half.png": _cut(_bytes(_NOISE)),
    "half.jpg": _cut(_bytes(_NOISE, "JPEG")),
    "half.webp": _cut(_bytes(_NOISE, "WEBP")),
    "half.bmp": _cut(_bytes(_NOISE, "BMP")),
    "vector.eps": _bytes(_NOISE, "EPS"),
}


@pytest.mark.parametrize("name", _BROKEN)
def test_broken_images_are_named(name, tmp_path):
    with pytest.raises(images.BrokenImage, match=name) as caught:
        images.decode(_BROKEN[name], name)
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)
    (tmp_path / name).write_bytes(_BROKEN[name])
    with pytest.raises(images.BrokenImage, match=name):
        images.check(str(tmp_path / name), name)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_sound_images_pass_the_check(file_format, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(_bytes(_NOISE, file_format))
    images.check(str(path), "a")


def test_bytes_after_a_jpeg_are_no_fault(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(_bytes(_NOISE, "JPEG") + b"a phone's own data")
    images.check(str(path), "a")


def test_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    data = _bytes(Image.new("1", (200, 100)))
    monkeypatch.setattr(images, "MAX_PIXELS", 200 * 100 - 1)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(images.BrokenImage, match=r"bomb.*200×100"):
        images.decode(data, "bomb")
    (tmp_path / "bomb").write_bytes(data)
    with pytest.raises(images.BrokenImage, match="bomb"):
        images.check(str(tmp_path / "bomb"), "bomb")


def test_square_crops_the_middle():
    image = np.zeros((4, 10, 3), np.uint8)
    image[:, 3:7] = 200
    np.testing.assert_array_equal(images.square(image, 4), np.full((4, 4, 3), 200))
    np.testing.assert_array_equal(images.square(image.swapaxes(0, 1), 4), np.full((4, 4, 3), 200))


def test_square_averages_boxes_when_shrinking_by_a_whole_number():
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    means = image.reshape(4, 3, 4, 3, 3).mean(axis=(1, 3))
    assert np.abs(images.square(image, 4) - means).max() < 0.6  # rounded, in fixed point


@pytest.mark.parametrize("size", [5, 8, 13, 64])
def test_square_does_not_alias(size):
    # The finest checkerboard carries nothing that a coarser grid can hold: it must turn grey.
    y, x = np.mgrid[:64, :64]
    checks = np.repeat((255 * ((x + y) % 2)).astype(np.uint8)[..., None], 3, axis=-1)
    resized = images.square(checks, size)
    assert resized.shape == (size, size, 3)
    if size < 64:
        middle = resized[1:-1, 1:-1].astype(int)
        assert np.abs(middle - 127.5).max() < 8


def test_float_and_back_is_exact():
    levels = np.arange(256, dtype=np.uint8)
    floats = images.to_float(levels)
    assert floats.dtype == np.float32
    assert floats[0] == -1
    assert floats[255] == 1
    np.testing.assert_array_equal(images.to_uint8(floats), levels)


def test_to_uint8_clips_and_rounds():
    np.testing.assert_array_equal(
        images.to_uint8(np.array([-1.5, 1.5, 0.4 / 127.5 - 1, 0.6 / 127.5 - 1])), [0, 255, 0, 1]
    )


def _png_with_text(after):
    """A PNG with 1.5 MB of text, before its pixels or after."""
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat " * 250_000, zip=True)
    with_text, data = _bytes(_NOISE, pnginfo=info), _bytes(_NOISE)
    if not after:
        return with_text
    start = with_text.index(b"zTXt") - 4
    chunk = with_text[start : start + 12 + int.from_bytes(with_text[start : start + 4])]
    return data[:-12] + chunk + data[-12:]


@pytest.mark.parametrize("after", [False, True])
def test_a_png_with_a_large_compressed_text_is_read(after, tmp_path):
    data, path = _png_with_text(after), tmp_path / "a.png"
    np.testing.assert_array_equal(images.decode(data, "a"), np.asarray(_NOISE))
    path.write_bytes(data)
    images.check(str(path), "a")
    with images.open_image(path) as image:
        np.testing.assert_array_equal(images.to_rgb(image, "a"), np.asarray(_NOISE))
    path.write_bytes(_cut(data))
    with pytest.raises(images.BrokenImage):
        images.check(str(path), "a")


@pytest.mark.parametrize("scale", [1, 255])
def test_floating_point_levels_are_0_to_1_or_0_to_255(scale):
    levels = np.array([[0, 0.25, 0.5, 1]], np.float32) * np.float32(scale)
    decoded = images.decode(_bytes(Image.fromarray(levels), "TIFF"), "a")
    np.testing.assert_array_equal(decoded[0, :, 1], [0, 64, 128, 255])


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1000), (0, np.nan), (0, np.inf)])
def test_other_floating_point_levels_are_refused(low, high):
    data = _bytes(Image.fromarray(np.array([[low, high]], np.float32)), "TIFF")
    with pytest.raises(images.BrokenImage, match="save them as 0 to 1") as caught:
        images.decode(data, "a")
    assert "\n" not in str(caught.value)
