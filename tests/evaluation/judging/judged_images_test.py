"""Folders as people hold them: where the prompts are found, and what is refused."""

import numpy as np
import pytest
from evaluation.judging import judging_toys
from evaluation.judging.judging_toys import PROMPTS, sample, save_plain
from PIL import Image
from refusals import refused

from glide_jax.evaluation.judging.reading import read_folder, read_models
from glide_jax.sampling.grid import save_image
from glide_jax.sampling.output import file_name, png_info


def ignore(*progress):
    pass


def rows(images):
    return [(image.model, image.prompt, image.number, image.path.name) for image in images]


def test_sampled_images_know_their_prompts(tmp_path):
    folder = sample(tmp_path / "a", [*PROMPTS, PROMPTS[1]])
    Image.new("RGB", (4, 4)).save(folder / "preview.png")
    (folder / "notes.txt").write_text("no image")
    found = read_folder("a", folder, None, ignore)
    assert [(i.prompt, i.number) for i in found] == [
        *((prompt, 0) for prompt in PROMPTS),
        (PROMPTS[1], 1),
    ]
    assert len({image.sha256 for image in found}) == 4


def test_a_class_is_a_prompt(tmp_path):
    made = judging_toys.provenance("", label=3)
    save_image(np.zeros((4, 4, 3), np.uint8), tmp_path / file_name(made), png_info(made))
    assert [image.prompt for image in read_folder("a", tmp_path, None, ignore)] == ["class 3"]


def test_a_prompts_file_goes_by_the_order_of_names(tmp_path):
    folder = save_plain(tmp_path / "photos", ["img10.png", "img2.PNG", "img1.jpg"])
    prompts = tmp_path / "prompts.txt"
    prompts.write_bytes("\ufeffone\r\n\r\n  two  2\r\nten é\r\n".encode())
    found = read_models([str(folder)], prompts, ignore)
    assert rows(found) == [
        ("photos", "one", 0, "img1.jpg"),
        ("photos", "two 2", 0, "img2.PNG"),
        ("photos", "ten é", 0, "img10.png"),
    ]


def test_a_folder_s_own_caption_file_is_read_as_for_training(tmp_path):
    folder = save_plain(tmp_path / "photos", ["x.png", "y.png"])
    (folder / "captions.tsv").write_text("y.png\tsecond\nx.png\tfirst\n")
    assert rows(read_folder("m", folder, None, ignore)) == [
        ("m", "first", 0, "x.png"),
        ("m", "second", 0, "y.png"),
    ]


def test_models_are_named_by_folder_or_by_hand(tmp_path, monkeypatch):
    monkeypatch.chdir(sample(tmp_path / "here"))
    for name in ("a/samples", "b/samples", "s=3"):
        sample(tmp_path / name, PROMPTS[:1])
    named = read_models([".", "../a/samples", "b=../b/samples", "../s=3"], None, ignore)
    assert list(dict.fromkeys(image.model for image in named)) == ["here", "samples", "b", "s=3"]
    refused(
        lambda: read_models(["../a/samples", "../b/samples"], None, ignore), "'samples'", "first="
    )
    refused(lambda: read_models(["../a/samples", "../a/samples"], None, ignore), "'samples'")
    refused(lambda: read_models(["=../a/samples"], None, ignore), "NAME=DIR")


def corrupt(folder):
    file = next(folder.glob("*.png"))
    file.write_bytes(file.read_bytes()[:-30])
    return file.name


def test_what_is_refused(tmp_path):
    refused(lambda: read_folder("a", tmp_path / "none", None, ignore), "no folder", "none")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(lambda: read_folder("a", empty, None, ignore), "has no images")
    plain = save_plain(tmp_path / "plain", ["x.png", "y.png"])
    refused(
        lambda: read_folder("a", plain, None, ignore), "x.png", "--prompts-file", "captions.tsv"
    )
    refused(lambda: read_folder("a", plain, ["one"], ignore), "2 images", "1 lines")
    sampled = sample(tmp_path / "sampled")
    other = [*sorted(PROMPTS)[:2], "something else"]
    refused(lambda: read_folder("a", sampled, other, ignore), "'something else'", "sampled for")
    refused(lambda: read_models([str(sampled)], tmp_path / "none.txt", ignore), "none.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    refused(lambda: read_models([str(sampled)], tmp_path / "bytes.txt", ignore), "UTF-8")
    (tmp_path / "blank.txt").write_text("\n\n")
    refused(lambda: read_models([str(sampled)], tmp_path / "blank.txt", ignore), "no prompts")
    refused(lambda: read_folder("a", sampled, None, ignore), corrupt(sampled), "cannot read")


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
def test_something_else_under_an_image_s_name_is_refused(name, tmp_path):
    (tmp_path / name).write_text("<html>")
    refused(lambda: read_folder("a", tmp_path, ["p"], ignore), name)
