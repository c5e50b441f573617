"""What a PNG says of how it was made."""

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from glide_jax.errors import UserError
from glide_jax.pipelines.grid import save_picture
from glide_jax.pipelines.metadata import KEY, Made, png_info, read_made

MADE = Made(
    job="sample",
    prompt='красный круг ⬤ "quoted"\nand a line, half a letter: \udcff',
    negative_prompt="",
    label=None,
    seed=2**60,
    index=3,
    settings={"guidance_scale": 3.3, "guidance_interval": [0.1, 0.7], "steps": "fast27"},
    strength=None,
    places=((4, 3), (1, 0)),
    watched=True,
    checkpoints=("/runs/a",),
    overrides=("upsampler.sampling.steps=20",),
    steps=(5000, 350),
    clip=None,
    classifier=None,
    given={},
    version="0.1.0",
)
PIXELS = np.zeros((4, 4, 3), np.uint8)


def test_what_is_written_is_read(tmp_path):
    save_picture(PIXELS, tmp_path / "a.png", png_info(MADE))
    assert read_made(tmp_path / "a.png") == MADE


def test_a_picture_that_does_not_say_is_one_line(tmp_path):
    save_picture(PIXELS, tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png does not say what made it"):
        read_made(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="does not say what made it"):
        read_made(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="No such file"):
        read_made(tmp_path / "nowhere.png")


@pytest.mark.parametrize("text", ["", "{}", "7", '{"places": [], "checkpoints": []}', "{"])
def test_what_another_version_wrote_is_one_line(text, tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEY, text)
    save_picture(PIXELS, tmp_path / "a.png", info)
    with pytest.raises(UserError, match="another version of glide_jax"):
        read_made(tmp_path / "a.png")
