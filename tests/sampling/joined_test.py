"""What was sampled in a frame, joined with the image: it grows, and keeps what was kept."""

import numpy as np
import pytest
from PIL import Image

from glide_jax.sampling.images import Frame, framed, joined, opaque_pixels, plane_of

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
NEW = (1, 2, 3)


def join(frame, size, image=IMAGE, opaque=None, repainted=None):
    """With a sample of one colour."""
    _, kept = framed(image, frame, size, opaque)
    if repainted is not None:
        kept = kept * (1 - repainted[None, :, :, None])
    return joined(image, opaque, frame, np.full((size, size, 3), NEW, np.uint8), kept)


@pytest.mark.parametrize(
    ("frame", "size", "image_at"),
    [
        (Frame(8, 0, 8), (16, 8), (0, 0)),
        (Frame(-3, 0, 8), (15, 8), (3, 0)),
        (Frame(0, 4, 8), (12, 12), (0, 0)),
        (Frame(2, -5, 8), (12, 13), (0, 5)),
        (Frame(-2, -2, 16), (16, 16), (2, 2)),
        (Frame(2, 0, 8), (12, 8), (0, 0)),
    ],
    ids=str,
)
def test_it_is_as_large_as_both_and_the_image_s_pixels_stay(frame, size, image_at):
    found = join(frame, 8)
    plane = plane_of(12, 8, frame, 8)
    assert (plane.width, plane.height) == size == found.shape[1::-1]
    assert (plane.left, plane.top) == image_at
    left, top = image_at
    part = found[top : top + 8, left : left + 12]
    # With a frame that is reduced, pixels that are partly outside are sampled.
    differs = (part[..., :3] != IMAGE).any(-1)
    assert differs.mean() < (0.3 if frame.side > 8 else 1e-9)
    inside = np.zeros(found.shape[:2], bool)
    inside[top : top + 8, left : left + 12] = True
    of_frame = np.zeros_like(inside)
    x, y, side = plane.frame
    of_frame[y : y + side, x : x + side] = True
    new = found[of_frame & ~inside][:, :3]
    np.testing.assert_array_equal(new, np.broadcast_to(NEW, new.shape))
    np.testing.assert_array_equal(found[..., 3], np.where(of_frame | inside, 255, 0))


def test_what_is_painted_is_the_sample_s_and_all_else_stays():
    painted = np.zeros((8, 8), np.float32)
    painted[2:5, 3:6] = 1
    found = join(Frame(2, 0, 8), 8, repainted=painted)
    expected = IMAGE.copy()
    expected[2:5, 5:8] = NEW
    np.testing.assert_array_equal(found[..., :3], expected)
    assert (found[..., 3] == 255).all()


def test_a_sample_that_is_larger_than_its_frame_enlarges_the_image():
    found = join(Frame(6, 0, 8), 16)
    assert found.shape == (16, 28, 4)
    np.testing.assert_array_equal(found[:, 24:, :3], np.broadcast_to(NEW, (16, 4, 3)))


def test_the_corners_that_nothing_covers_are_transparent_and_sampled_next():
    grown = join(Frame(8, 4, 8), 8)
    assert grown.shape == (12, 16, 4)
    opaque = opaque_pixels(Image.fromarray(grown))
    assert opaque is not None
    np.testing.assert_array_equal(opaque, grown[..., 3] > 0)
    assert (~opaque).sum() == 4 * 4 + 4 * 8
    pixels = grown[..., :3]
    _, kept = framed(pixels, Frame(8, 0, 8), 8, opaque)
    np.testing.assert_array_equal(kept[0, :, :, 0] == 0, ~opaque[:8, 8:16])
    full = join(Frame(0, 4, 8), 8, pixels, opaque)
    full = join(Frame(8, 0, 8), 8, full[..., :3], full[..., 3] > 0)
    assert (full[..., 3] == 255).all()


def test_what_is_opaque_is_known_of_images_of_all_kinds():
    assert opaque_pixels(IMAGE) is None
    assert opaque_pixels(Image.new("L", (3, 2))) is None
    clear = Image.new("LA", (3, 2), (0, 0))
    clear.putpixel((1, 0), (9, 1))
    np.testing.assert_array_equal(opaque_pixels(clear), [[0, 1, 0], [0, 0, 0]])
