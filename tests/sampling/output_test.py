"""What a PNG says of how it was made."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from glide_jax.errors import UserError
from glide_jax.sampling.grid import save_image
from glide_jax.sampling.output import (
    KEY,
    Provenance,
    file_name,
    png_info,
    read_provenance,
    slug,
)

PROVENANCE = Provenance(
    task="sample",
    prompt='красный круг ⬤ "quoted"\nand a line, half a letter: \udcff',
    negative_prompt="",
    label=None,
    seed=2**60,
    index=3,
    settings={"guidance_scale": 3.3, "guidance_interval": [0.1, 0.7], "steps": "fast27"},
    strength=None,
    batch_slots=((4, 3), (1, 0)),
    checkpoints=("/runs/a",),
    overrides=("stages.upsampler.sampling.steps=20",),
    steps=(5000, 350),
    clip=None,
    classifier=None,
    text_encoder=None,
    adapters=(),
    input_files={},
    version="0.1.0",
)
PIXELS = np.zeros((4, 4, 3), np.uint8)


def test_what_is_written_is_read(tmp_path):
    save_image(PIXELS, tmp_path / "a.png", png_info(PROVENANCE))
    assert read_provenance(tmp_path / "a.png") == PROVENANCE


def test_an_image_that_does_not_say_is_one_line(tmp_path):
    save_image(PIXELS, tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png does not say what made it"):
        read_provenance(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="does not say what made it"):
        read_provenance(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="No such file"):
        read_provenance(tmp_path / "nowhere.png")


@pytest.mark.parametrize("text", ["", "{}", "7", '{"batch_slots": [], "checkpoints": []}', "{"])
def test_what_another_version_wrote_is_one_line(text, tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEY, text)
    save_image(PIXELS, tmp_path / "a.png", info)
    with pytest.raises(UserError, match="another version of glide_jax"):
        read_provenance(tmp_path / "a.png")


@pytest.mark.parametrize(
    "change",
    [
        {"batch_slots": [[4, 9]] * 2},
        {"batch_slots": [[0, 0]] * 2},
        {"batch_slots": [[10**9, 0]] * 2},
        {"batch_slots": []},
        {"batch_slots": [[4, 0]] * 3},
        {"settings": []},
        {"prompt": 5},
        {"index": 10**12},
        {"index": -1},
        {"checkpoints": "runs"},
        {"seed": "x"},
        {"mood": "sad"},
    ],
    ids=str,
)
def test_what_somebody_changed_in_an_image_is_one_line(change, tmp_path):
    values = dataclasses.asdict(PROVENANCE) | {"batch_slots": [[4, 0]] * 2, "steps": [1, 2]}
    for name, changes in (("good", {}), ("bad", change)):
        info = PngImagePlugin.PngInfo()
        info.add_itxt(KEY, json.dumps(values | changes))
        save_image(PIXELS, tmp_path / f"{name}.png", info)
    assert read_provenance(tmp_path / "good.png").steps == (1, 2)
    with pytest.raises(UserError, match="another version of glide_jax"):
        read_provenance(tmp_path / "bad.png")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("A red  circle!", "a-red-circle"),
        ("", "no-prompt"),
        ("...", "no-prompt"),
        ("x" * 300, "x" * 60),
        ("𝒜" * 100, "𝒜" * 15),
        ("é" * 100, "é" * 30),
    ],
)
def test_a_prompt_in_a_file_name_is_cut_by_bytes(prompt, expected):
    assert slug(prompt) == expected
    name = file_name(dataclasses.replace(PROVENANCE, prompt=prompt, seed=2**63 - 1))
    assert len(name.encode()) < 255


def test_prompts_that_begin_alike_have_files_of_their_own():
    prompts = ["x" * 300, "x" * 301, "🎉", "🎈", "", "\udcff", "A red  circle!"]
    names = [file_name(dataclasses.replace(PROVENANCE, prompt=prompt)) for prompt in prompts]
    assert len(set(names)) == len(names)
    assert names[4].startswith(f"no-prompt-{2**60}-")
    assert names[-1].startswith(f"a-red-circle-{2**60}-")
