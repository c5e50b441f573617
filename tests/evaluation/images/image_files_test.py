"""Images that somebody has: folders and .npz files, as they come."""

import tracemalloc

import numpy as np
import pytest
from evaluation import evaluation_toys
from PIL import Image, PngImagePlugin

from glide_jax.errors import UserError
from glide_jax.evaluation.images.files import open_images, prompts_in

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 8, 6, 3), np.uint8)


def pixels_of(images, size=3):
    batches = list(images.batches(size))
    assert all(len(batch) == size for batch in batches[:-1])
    return np.concatenate(batches)


def folder_of(path, images):
    for name, image in images.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(path / name)
    return path


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    names = ["b.png", "a.png", "c/2.png", "c/1.png", ".hidden.png", "d.PNG", "e.png", "f.png"]
    images = {name: Image.fromarray(p) for name, p in zip(names, [*PIXELS, PIXELS[0]], strict=True)}
    folder_of(tmp_path, images)
    (tmp_path / "notes.txt").write_text("no image")
    found = open_images(tmp_path)
    assert (found.count, found.height, found.width, found.notes) == (7, 8, 6, ())
    order = [1, 0, 3, 2, 5, 6, 0]
    np.testing.assert_array_equal(pixels_of(found), PIXELS[order])
    again = open_images(tmp_path)
    assert again.fingerprint == found.fingerprint
    Image.fromarray(PIXELS[1]).save(tmp_path / "z.png")
    assert open_images(tmp_path).fingerprint != found.fingerprint


def test_images_of_several_sizes_are_read_if_one_size_is_asked_for(tmp_path):
    images = {"a.png": Image.new("RGB", (40, 8), "red"), "b.png": Image.new("RGB", (9, 30), "blue")}
    found = open_images(folder_of(tmp_path, images), 4)
    assert (found.height, found.width) == (4, 4)
    np.testing.assert_array_equal(pixels_of(found)[:, 0, 0], [(255, 0, 0), (0, 0, 255)])
    np.savez(tmp_path / "a.npz", PIXELS)
    with pytest.raises(UserError, match="only those of a folder"):
        open_images(tmp_path / "a.npz", 4)


def test_an_npz_is_a_stream(tmp_path):
    many = np.zeros((4000, 32, 32, 3), np.uint8)
    many[:7, :8, :6] = PIXELS
    np.savez_compressed(tmp_path / "many.npz", many)
    found = open_images(tmp_path / "many.npz")
    assert (found.count, found.height, found.width) == (4000, 32, 32)
    np.testing.assert_array_equal(next(found.batches(7))[:, :8, :6], PIXELS)
    tracemalloc.start()
    total = sum(len(batch) for batch in found.batches(50))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 4000
    assert peak < many.nbytes / 10


def test_grey_and_transparent_images_are_converted_and_counted(tmp_path):
    clear = np.dstack([PIXELS[0], np.zeros((8, 6), np.uint8)])
    images = {
        "1.png": Image.fromarray(PIXELS[0]),
        "2.png": Image.fromarray(PIXELS[1][..., 0]),
        "3.png": Image.fromarray(clear),
    }
    found = open_images(folder_of(tmp_path, images))
    _, grey, white = pixels_of(found)
    np.testing.assert_array_equal(grey, PIXELS[1][..., :1].repeat(3, -1))
    assert (white == 255).all()
    assert found.notes == (
        "1 of 3 images were grey, made RGB",
        "1 of 3 images were with transparency, put on white",
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there are no images"),
        (lambda path: path.mkdir(), "there is no image in"),
        (
            lambda path: folder_of(
                path, {"a.png": Image.new("RGB", (4, 4)), "b.png": Image.new("RGB", (5, 4))}
            ),
            "have several sizes .1 of 4×4 such as a.png, 1 of 5×4 such as b.png",
        ),
        (lambda path: path.write_bytes(b"no zip"), "is no .npz file"),
        (lambda path: np.savez(path.open("wb"), arr_0=np.zeros((3, 4, 4))), "images are uint8"),
        (
            lambda path: np.savez(path.open("wb"), arr_0=np.zeros((3, 4, 4, 3))),
            r"float64\[3, 4, 4, 3\]; images are uint8",
        ),
        (
            lambda path: np.savez(path.open("wb"), mu=np.zeros(4), sigma=np.eye(4)),
            "it has mu, sigma; statistics of images can be a --reference",
        ),
        (
            lambda path: np.savez(path.open("wb"), arr_0=np.array([{}], dtype=object)),
            "images are uint8",
        ),
    ],
)
def test_what_holds_no_images_is_refused(tmp_path, make, message):
    path = tmp_path / "given"
    make(path)
    with pytest.raises(UserError, match=message) as caught:
        open_images(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_cut_off_is_one_line(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path.open("wb"), PIXELS)
    whole = path.read_bytes()
    middle = whole.index(PIXELS.tobytes()[:64])
    path.write_bytes(whole[: middle + 9] + b"damage" + whole[middle + 15 :])
    with pytest.raises(UserError, match="damaged"):
        pixels_of(open_images(path))
    image = tmp_path / "folder" / "a.png"
    image.parent.mkdir()
    Image.fromarray(PIXELS[0]).save(image)
    image.write_bytes(image.read_bytes()[:-60])
    with pytest.raises(UserError, match=r"a\.png"):
        pixels_of(open_images(image.parent))


def test_images_of_ours_say_what_they_show(tmp_path):
    evaluation_toys.pipeline()(["red square", "blue square"], seed=1).save(tmp_path)
    assert prompts_in(tmp_path).captions == ["blue square", "red square"]
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", "another program's")
    Image.fromarray(PIXELS[0]).save(tmp_path / "z.png", pnginfo=info)
    assert prompts_in(tmp_path) is None
