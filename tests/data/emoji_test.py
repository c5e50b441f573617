import os
import re
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import ImageFont, features

from glide_jax import data
from glide_jax.data.emoji import builder, names, render
from glide_jax.errors import UserError

needs_font = pytest.mark.skipif(
    not os.path.isfile(render.DEBIAN_FONT) or not features.check("raqm"),
    reason="needs fonts-noto-color-emoji and raqm (libfribidi0)",
)


@pytest.fixture(scope="module")
def vocabulary():
    return names.vocabulary()


@pytest.fixture(scope="module")
def by_sequence(vocabulary):
    return {e.sequence: e for e in vocabulary}


# --- names


@pytest.mark.parametrize(
    ("sequence", "name", "tones"),
    [
        ("❤️", "red heart", ()),
        ("👩🏽‍🚒", "woman firefighter", ("medium",)),
        ("👨🏿‍🦲", "bald man", ("dark",)),
        ("🧔🏼", "person with a beard", ("medium-light",)),
        ("👩🏻‍🦰", "woman with red hair", ("light",)),
        ("👩‍❤️‍👨", "couple with heart, woman and man", ()),
        ("👨‍👩‍👧‍👦", "family, man, woman, girl and boy", ()),
        ("👬🏾", "men holding hands", ("medium-dark",)),
        ("👩🏽‍🤝‍👩🏿", "women holding hands", ("medium", "dark")),
        ("🏃🏻‍♀️‍➡️", "woman running, facing right", ("light",)),
        ("🕔", "five o'clock", ()),
        ("🇨🇮", "Côte d'Ivoire", ()),
    ],
)
def test_names_and_tones(by_sequence, sequence, name, tones):
    assert (by_sequence[sequence].name, by_sequence[sequence].tones) == (name, tones)


@pytest.mark.parametrize(
    ("sequence", "captions"),
    [
        ("❤️", ("red heart", "a red heart", "red heart emoji")),
        ("🐙", ("octopus", "an octopus", "octopus emoji")),
        ("🪗", ("accordion", "an accordion", "accordion emoji")),
        ("🦄", ("unicorn", "a unicorn", "unicorn emoji")),
        ("🎅", ("Santa Claus", "Santa Claus emoji")),
        ("🇫🇷", ("flag of France", "the flag of France", "France flag")),
        ("🏴󠁧󠁢󠁳󠁣󠁴󠁿", ("flag of Scotland", "the flag of Scotland", "Scotland flag")),
        (
            "👩🏽‍🚒",
            ("woman firefighter, medium skin tone", "a woman firefighter with medium skin"),
        ),
        (
            "👩🏽‍🤝‍👩🏿",
            (
                "women holding hands, medium and dark skin tones",
                "women holding hands with medium and dark skin",
            ),
        ),
        (
            "🧔🏼",
            (
                "person with a beard, medium-light skin tone",
                "a person with a beard, medium-light skin",
            ),
        ),
    ],
)
def test_captions(by_sequence, sequence, captions):
    assert names.captions(by_sequence[sequence]) == captions


def test_every_caption_is_clean_and_no_two_emoji_share_their_first(vocabulary):
    for e in vocabulary:
        for caption in names.captions(e):
            assert caption == " ".join(caption.split())
            assert not re.search("[_:’]|skin tone.*skin tone", caption)
    first = Counter(names.captions(e)[0] for e in vocabulary)
    assert first.most_common(1)[0][1] == 1


def test_vocabulary_is_all_there_is(vocabulary):
    assert len(vocabulary) > 3700
    assert len({e.sequence for e in vocabulary}) == len(vocabulary)


def test_held_out_are_combinations_whose_parts_are_in_train(vocabulary):
    test_sequences = names.held_out(vocabulary)
    assert 0.05 <= len(test_sequences) / len(vocabulary) <= 0.08
    train = {(e.name, e.tones) for e in vocabulary if e.sequence not in test_sequences}
    test = [e for e in vocabulary if e.sequence in test_sequences]
    assert {e.tones for e in test} == {(tone,) for tone in names.TONES}
    for e in test:
        assert (e.name, e.tones) not in train
        others = {(e.name, (tone,)) for tone in names.TONES} - {(e.name, e.tones)}
        assert others <= train
        other_way = e.name.removesuffix(", facing right")
        assert (other_way, e.tones) not in train


def test_held_out_does_not_depend_on_what_else_there_is(vocabulary):
    held_out = names.held_out(vocabulary)
    fewer = [e for e in vocabulary if e.name != "woman firefighter"]
    assert names.held_out(reversed(fewer)) == held_out - {
        e.sequence for e in vocabulary if e.name == "woman firefighter"
    }


# --- rendering


@pytest.fixture(scope="module")
def font():
    return render.EmojiFont("")


@needs_font
def test_renders_in_colour_on_white_with_a_margin(font):
    pixels = font.render("❤️")
    assert pixels.shape == (144, 144, 3)
    assert pixels.dtype == np.uint8
    for edge in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        assert (edge == 255).all()
    red, green, blue = pixels[60:80, 60:80].reshape(-1, 3).mean(axis=0)
    assert red > 200
    assert max(green, blue) < 100


@needs_font
def test_joined_sequences_are_one_image(font):
    parts = [font.render(s) for s in ("👩🏽", "🚒", "👩‍🚒")]
    joined = font.render("👩🏽‍🚒")
    assert joined is not None
    assert not any(np.array_equal(joined, part) for part in parts)


@needs_font
@pytest.mark.parametrize("sequence", ["👩🏽🚒", "🚒‍🍎", "\U0001faff", "a\U0010fffd"])
def test_what_the_font_lacks_is_not_rendered(font, sequence):
    assert font.render(sequence) is None


def test_missing_font_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(render, "DEBIAN_FONT", "/nowhere/NotoColorEmoji.ttf")
    for path in ("", "/nowhere/mine.ttf"):
        with pytest.raises(UserError, match=r"nowhere.*apt-get install fonts-noto-color-emoji"):
            render.EmojiFont(path)
    with pytest.raises(UserError, match=r"mine.*apt-get install fonts-noto-color-emoji"):
        data.prepare("emoji/64", "/nowhere/mine.ttf")


def test_missing_font_is_an_error_of_prepare(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(render, "DEBIAN_FONT", "/nowhere/NotoColorEmoji.ttf")
    with pytest.raises(UserError, match=r"nowhere.*apt-get install fonts-noto-color-emoji"):
        data.prepare("emoji/64", "")
    with pytest.raises(UserError, match="prepare it first"):
        data.open_source("emoji/64", "", "train")


def test_missing_raqm_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(UserError, match=r"raqm.*apt-get install libfribidi0"):
        render.EmojiFont("")


@pytest.mark.skipif(not features.check("raqm"), reason="needs raqm (libfribidi0)")
def test_a_font_of_letters_is_refused(tmp_path):
    letters = ImageFont.load_default(20)
    assert isinstance(letters, ImageFont.FreeTypeFont)
    (tmp_path / "letters.ttf").write_bytes(letters.font_bytes)
    with pytest.raises(UserError, match=r"letters\.ttf has no 😀"):
        render.EmojiFont(str(tmp_path / "letters.ttf"))


@pytest.mark.skipif(not features.check("raqm"), reason="needs raqm (libfribidi0)")
def test_a_file_that_is_no_font_is_refused(tmp_path):
    (tmp_path / "no.ttf").write_text("no font")
    with pytest.raises(UserError, match=r"cannot use the font .*no\.ttf"):
        render.EmojiFont(str(tmp_path / "no.ttf"))


# --- the data set


@pytest.fixture
def small(vocabulary, monkeypatch, tmp_path):
    wanted = ("woman mountain biking", "person running", "snowboarder", "Norway", "Bouvet Island")
    some = [e for e in vocabulary if e.name.split(",")[0] in wanted]
    monkeypatch.setattr(names, "vocabulary", lambda: some)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return some


@needs_font
def test_the_data_set_on_disk(small):
    data.prepare("emoji/32", "")
    splits = {s: data.open_source("emoji/32", "", s) for s in ("train", "test")}
    captions = {s: set(data.captions(source)) for s, source in splits.items()}
    assert not captions["train"] & captions["test"]
    assert all(source[0].image.shape == (32, 32, 3) for source in splits.values())
    held_out = names.held_out(small)
    expected = {c for e in small if e.sequence in held_out for c in names.captions(e)}
    assert captions["test"] == {c for c in expected if "snowboarder" not in c}
    # One design for two places is one image with both their names.
    train = splits["train"]
    (flag,) = [c for c in map(train.captions, range(len(train))) if "flag" in c[0]]
    assert {"flag of Norway", "flag of Bouvet Island"} <= set(flag)
    # Goggles hide all skin: no caption may name a tone.
    snowboarder = {c for c in captions["train"] | captions["test"] if "snowboarder" in c}
    assert snowboarder == {"snowboarder", "a snowboarder", "snowboarder emoji"}


@needs_font
def test_another_font_is_another_data_set(small, tmp_path):
    copy = tmp_path / "Copy.ttf"
    shutil.copy(render.DEBIAN_FONT, copy)
    data.prepare("emoji/32", str(copy))
    assert len(data.open_source("emoji/32", str(copy), "train")) > 5
    with pytest.raises(UserError, match="prepare it first"):
        data.open_source("emoji/32", "", "train")


def test_unknown_size_names_the_known():
    with pytest.raises(UserError, match=r"'65'.*128, 32, 64"):
        data.open_source("emoji/65", "", "train")


@needs_font
@pytest.mark.slow
def test_all_of_it(font, vocabulary):
    glyphs = builder.render_glyphs(font, vocabulary, 32)
    assert len(glyphs) > 3700
    held_out = names.held_out(vocabulary)
    test = [g for g in glyphs if any(e.sequence in held_out for e in g.emojis)]
    assert 0.05 <= len(test) / len(glyphs) <= 0.08
