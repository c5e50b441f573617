"""Which previews a terminal can show, and that what is sent to it is the image."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from progress_toys import image

from glide_jax.progress.choice import Choice, mode_for, preview_for
from glide_jax.progress.preview import fitting, iterm2, kitty

AUTO = Choice("auto", "auto")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "xterm-256color"}, "blocks"),
        ({"TERM": "tmux-256color", "LC_TERMINAL": "iTerm2"}, "blocks"),
        ({"TERM": "screen", "KITTY_WINDOW_ID": "1"}, "blocks"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux,1,0"}, "blocks"),
    ],
    ids=str,
)
def test_terminals_are_known_by_what_they_say(environment, expected):
    assert preview_for(AUTO, "truecolor", "utf-8", environment) == expected


def test_without_colours_or_blocks_there_is_no_preview():
    assert preview_for(AUTO, "256", "utf-8", {}) == "blocks"
    assert preview_for(AUTO, "standard", "utf-8", {}) == "none"
    assert preview_for(AUTO, None, "utf-8", {}) == "none"
    assert preview_for(AUTO, "truecolor", "ascii", {}) == "none"
    assert preview_for(AUTO, "truecolor", "no such encoding", {}) == "none"
    assert preview_for(Choice("auto", "kitty"), None, "ascii", {}) == "kitty"
    assert preview_for(Choice("auto", "none"), "truecolor", "utf-8", {}) == "none"
    # A library that nobody chose anything for sends no images.
    assert preview_for(None, "truecolor", "utf-8", {}) == "none"


def test_what_was_chosen_is_taken_wherever_it_goes():
    stream = io.StringIO()
    for mode in ("rich", "plain", "json", "quiet"):
        assert mode_for(Choice(mode, "none"), stream, {}) == mode
    assert mode_for(AUTO, stream, {"TERM": "xterm"}) == "plain"
    assert mode_for(None, stream, {"TERM": "xterm"}) == "plain"


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(base64.standard_b64decode(data))))


def test_kitty_s_chunks_are_the_image():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    text = kitty(pixels, fitting(pixels, 80, 20), 7)
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in chunks) == text
    assert len(chunks) > 2
    assert all(len(data) <= 4096 for _, data in chunks)
    first, *others = [dict(pair.split("=") for pair in keys.split(",")) for keys, _ in chunks]
    assert (first["a"], first["f"], first["C"], first["i"]) == ("T", "100", "1", "7")
    assert (first["c"], first["r"]) == ("40", "20")
    assert [keys["m"] for keys in (first, *others)] == ["1"] * len(others) + ["0"]
    assert {keys["q"] for keys in (first, *others)} == {"2"}
    np.testing.assert_array_equal(decoded("".join(data for _, data in chunks)), pixels)


def test_iterm2_s_sequence_is_the_image():
    pixels = image(5, 7)
    text = iterm2(pixels, fitting(pixels, 80, 20), 7)
    ((keys, data),) = re.findall(r"\A\x1b\]1337;File=([^:]*):(.*)\a\Z", text)
    values = dict(pair.split("=") for pair in keys.split(";"))
    assert int(values["size"]) == len(base64.standard_b64decode(data))
    assert (values["width"], values["height"], values["inline"]) == ("56", "20", "1")
    np.testing.assert_array_equal(decoded(data), pixels)


def test_a_large_image_is_reduced_before_it_is_sent():
    pixels = np.zeros((32, 4096, 3), np.uint8)
    (data,) = re.findall(r":([^:]*)\a", iterm2(pixels, fitting(pixels, 80, 20), 7))
    assert decoded(data).shape == (8, 1024, 3)


@pytest.mark.parametrize(
    ("height", "width", "columns", "rows", "expected"),
    [
        (64, 64, 80, 20, (40, 20)),
        (64, 512, 80, 20, (80, 5)),
        (512, 64, 80, 20, (5, 20)),
        (1, 1000, 80, 20, (80, 1)),
        (64, 64, 1, 1, (1, 1)),
    ],
)
def test_an_image_keeps_its_proportions_and_fits(height, width, columns, rows, expected):
    assert fitting(np.zeros((height, width, 3)), columns, rows) == expected
