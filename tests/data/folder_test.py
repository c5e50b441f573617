import json
import logging
import os
import unicodedata

import numpy as np
import pytest

from glide_jax import data
from glide_jax.data import images
from glide_jax.data.splitting import MIN_TO_SPLIT, describe_split
from glide_jax.errors import UserError


def _image(path, level=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(np.full((6, 8, 3), level, np.uint8)))


def _open(root, split="train"):
    return data.open_source("folder", str(root), split)


def _captions(source):
    return dict(source.items)


def test_captions_beside_the_images(tmp_path):
    _image(tmp_path / "cats" / "1.png", 7)
    (tmp_path / "cats" / "1.txt").write_text("  a cat asleep \n\na  grey cat\n")
    _image(tmp_path / "dog.PNG")
    (tmp_path / "dog.txt").write_text("\ufeffun chien près d'un 犬", encoding="utf-8")
    source = _open(tmp_path)
    assert _captions(source) == {
        "cats/1.png": ("a cat asleep", "a grey cat"),
        "dog.PNG": ("un chien près d'un 犬",),
    }
    assert (source[0].image == 7).all()


_TABLES = {
    "captions.csv": 'file_name,caption\na.png,"a cat, asleep"\nb.png,a dog\na.png,my cat\n',
    "captions.tsv": "a.png\ta cat, asleep\nb.png\ta dog\na.png\tmy cat\n",
    "captions.txt": "a.png,a cat, asleep\n\n./b.png,a dog\na.png,my cat\n",
    "captions.jsonl": '{"file_name": "a.png", "caption": ["a cat, asleep", "my cat"]}\n\n'
    '{"file_name": "b.png", "caption": "a dog"}\n',
}


@pytest.mark.parametrize("file", _TABLES)
def test_one_captions_file(file, tmp_path):
    for name in ("a.png", "b.png"):
        _image(tmp_path / name)
    (tmp_path / file).write_text(_TABLES[file])
    assert _captions(_open(tmp_path)) == {
        "a.png": ("a cat, asleep", "my cat"),
        "b.png": ("a dog",),
    }


def test_tab_separated_captions_keep_their_quotes(tmp_path):
    _image(tmp_path / "a.png")
    (tmp_path / "captions.tsv").write_text('a.png\t"Rex" the dog\n')
    assert _captions(_open(tmp_path)) == {"a.png": ('"Rex" the dog',)}


def test_what_is_skipped_is_counted_and_named_in_one_line(tmp_path, caplog):
    for name in ("good.png", "uncaptioned.png", "blank.png", "bytes.png"):
        _image(tmp_path / name)
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "blank.txt").write_text(" \n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "broken.png").write_bytes((tmp_path / "good.png").read_bytes()[:50])
    (tmp_path / "broken.txt").write_text("broken")
    (tmp_path / "orphan.txt").write_text("orphan")
    (tmp_path / "notes.pdf").write_text("notes")
    (tmp_path / ".hidden").write_text("hidden")
    source = _open(tmp_path)
    assert _captions(source) == {"good.png": ("good",)}
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    message = record.getMessage()
    assert "\n" not in message
    for part in (
        "1 images with captions",
        "1 broken images (broken.png)",
        "3 images without a caption (blank.png, bytes.png, uncaptioned.png)",
        "1 caption files that are not UTF-8 text (bytes.txt)",
        "2 files that are not images (notes.pdf, orphan.txt)",
    ):
        assert part in message
    assert "hidden" not in message


def test_rows_without_an_image_are_counted(tmp_path, caplog):
    _image(tmp_path / "a.png")
    rows = "".join(f"{name},x\n" for name in ("a.png", "../a.png", "b.png", "c.png", "d.png"))
    (tmp_path / "captions.csv").write_text(rows)
    assert len(_open(tmp_path)) == 1
    assert "4 names in captions.csv without an image (../a.png, b.png, c.png, …)" in caplog.text


def _many(root, count):
    for i in range(count):
        _image(root / f"{i}.png", i % 256)
    (root / "captions.csv").write_text("".join(f"{i}.png,number {i}\n" for i in range(count)))


def test_test_split_is_a_stable_part_of_the_names(tmp_path):
    _many(tmp_path, 200)
    train, test = _captions(_open(tmp_path)), _captions(_open(tmp_path, "test"))
    assert not train.keys() & test.keys()
    assert len(train) + len(test) == 200
    assert 2 <= len(test) <= 20
    _image(tmp_path / "another.png")
    with (tmp_path / "captions.csv").open("a") as file:
        file.write("another.png,another\n")
    assert test.keys() <= _captions(_open(tmp_path, "test")).keys()
    assert train.keys() <= _captions(_open(tmp_path)).keys()


def test_a_tiny_folder_is_all_train_and_says_so(tmp_path, caplog):
    _many(tmp_path, MIN_TO_SPLIT - 1)
    assert len(_open(tmp_path)) == MIN_TO_SPLIT - 1
    assert "all are in train" in caplog.text
    with pytest.raises(UserError, match="no test split"):
        _open(tmp_path, "test")


def _missing(root):
    root.rmdir()


def _empty(root):
    pass


def _without_captions(root):
    _image(root / "a.png")


def _two_files(root):
    _many(root, 1)
    (root / "captions.tsv").write_text("0.png\tnumber 0")


def _short_row(root):
    _image(root / "a.png")
    (root / "captions.csv").write_text("a.png,fine\na.png\n")


def _not_utf8(root):
    _image(root / "a.png")
    (root / "captions.csv").write_bytes(b"a.png,\xff\xfe")


def _wrong_key(root):
    _image(root / "a.png")
    (root / "captions.jsonl").write_text(json.dumps({"file": "a.png", "caption": "x"}))


def _wrong_type(root):
    _image(root / "a.png")
    (root / "captions.jsonl").write_text(json.dumps({"file_name": "a.png", "caption": [1]}))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing, "no such folder.*data.path"),
        (_empty, "0 images with captions.*captions.csv"),
        (_without_captions, r"1 images without a caption.*\.txt"),
        (_two_files, "captions.csv and captions.tsv: keep one"),
        (_short_row, "line 2.*no caption"),
        (_not_utf8, "UTF-8"),
        (_wrong_key, "line 1.*file_name"),
        (_wrong_type, "line 1.*string"),
    ],
)
def test_what_people_get_wrong(make, says, tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    make(root)
    with pytest.raises(UserError, match=says) as caught:
        _open(root)
    assert "\n" not in str(caught.value)


def test_sub_folders_may_be_classes(tmp_path, caplog):
    for name in ("dogs/1.png", "cats/2.png", "black_cats/a/3.png", "4.png"):
        _image(tmp_path / name)
    (tmp_path / "cats" / "2.txt").write_text("a cat asleep")
    source = data.open_source("folder?label=folder", str(tmp_path), "train")
    assert source.classes == ("black_cats", "cats", "dogs")
    found = {source.classes[source[i].label]: source.captions(i) for i in range(3)}
    assert found == {"dogs": ("dogs",), "cats": ("a cat asleep",), "black_cats": ("black cats",)}
    assert "1 images in no sub-folder (4.png)" in caplog.text


@pytest.mark.parametrize(
    ("name", "path", "split", "says"),
    [
        ("folder", "", "train", "data.path"),
        ("folder/64", ".", "train", "just 'folder'"),
        ("folder?label=x", ".", "train", "just 'folder'"),
        ("folder", ".", "trian", "did you mean 'train'"),
    ],
)
def test_wrong_arguments(name, path, split, says):
    with pytest.raises(UserError, match=says):
        data.open_source(name, path, split)


def test_an_image_that_vanishes_is_named(tmp_path):
    _many(tmp_path, 3)
    source = _open(tmp_path)
    (tmp_path / "1.png").unlink()
    with pytest.raises(UserError, match=r"1\.png"):
        source[1]


def test_a_caption_is_one_line_of_a_text_file_whatever_is_in_it(tmp_path):
    _image(tmp_path / "a.png")
    text = "a\u2028b\x0cc\x85d\x1ce\r\nsecond\rthird"
    (tmp_path / "a.txt").write_bytes(text.encode())
    assert _captions(_open(tmp_path)) == {"a.png": ("a b c d e", "second", "third")}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_quoted_caption_may_have_several_lines(end, tmp_path):
    for name in ("a.png", "b.png"):
        _image(tmp_path / name)
    rows = [
        "",
        "file_name,caption",
        'a.png,"a red barn',
        'near the ""lake"""',
        "",
        "b.png,b\u2028c",
    ]
    (tmp_path / "captions.csv").write_bytes(end.join(rows).encode())
    assert _captions(_open(tmp_path)) == {
        "a.png": ('a red barn near the "lake"',),
        "b.png": ("b c",),
    }


@pytest.mark.parametrize("rest", ["b.png,b\n", 'b.png,"b"\n', "x" * 140_000])
def test_an_unclosed_quote_is_named_with_its_line(rest, tmp_path):
    for name in ("0.png", "a.png", "b.png"):
        _image(tmp_path / name)
    (tmp_path / "captions.csv").write_text(f'0.png,0\na.png,"a\n{rest}')
    with pytest.raises(UserError, match=r"captions\.csv, line 2: .*close every quote") as caught:
        _open(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_line_separator_inside_json_is_part_of_the_caption(tmp_path):
    _image(tmp_path / "a.png")
    row = json.dumps({"file_name": "a.png", "caption": "a\u2028b"}, ensure_ascii=False)
    (tmp_path / "captions.jsonl").write_text(row + "\r\n", encoding="utf-8")
    assert _captions(_open(tmp_path)) == {"a.png": ("a b",)}


@pytest.mark.parametrize("value", ["NaN", "true", "7", '{"en": "a dog"}', '["a dog", false]'])
def test_a_json_caption_that_is_no_text_is_named_with_its_line(value, tmp_path):
    _image(tmp_path / "a.png")
    (tmp_path / "captions.jsonl").write_text(f'\n{{"file_name": "a.png", "caption": {value}}}')
    with pytest.raises(UserError, match=r"line 2: .*a string or a list"):
        _open(tmp_path)


def test_hugging_face_s_metadata_is_read(tmp_path):
    for name in ("a.png", "b.png"):
        _image(tmp_path / name)
    rows = [{"file_name": f"{k}.png", "text": f"letter {k}", "likes": 3} for k in "ab"]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    expected = {"a.png": ("letter a",), "b.png": ("letter b",)}
    assert _captions(_open(tmp_path)) == expected
    (tmp_path / "metadata.jsonl").unlink()
    table = tmp_path / "metadata.csv"
    table.write_text('likes,text,file_name\n3,letter a,a.png\n3,"letter b",b.png\n')
    assert _captions(_open(tmp_path)) == expected
    table.write_text("text,file_name\nletter a\n")
    with pytest.raises(UserError, match="line 2: 1 columns where the first line has 2"):
        _open(tmp_path)
    table.write_text("file,words\n")
    with pytest.raises(UserError, match="must name the columns: file_name"):
        _open(tmp_path)


def test_names_from_other_systems_match(tmp_path):
    composed, decomposed = (unicodedata.normalize(f, "caf\u00e9") for f in ("NFC", "NFD"))
    for name in (f"{decomposed}.png", "cats/0.png", "a\\b.png"):
        _image(tmp_path / name)
    rows = f"{composed}.png,coffee\ncats\\0.png,a cat\na\\b.png,a slash\n"
    (tmp_path / "captions.csv").write_text(rows, encoding="utf-8")
    expected = {f"{decomposed}.png": ("coffee",), "cats/0.png": ("a cat",)}
    assert _captions(_open(tmp_path)) == expected | {"a\\b.png": ("a slash",)}
    (tmp_path / "captions.csv").unlink()
    (tmp_path / f"{composed}.txt").write_text("beside it")
    assert _captions(_open(tmp_path)) == {f"{decomposed}.png": ("beside it",)}


def test_linked_folders_are_searched_once_and_cycles_end(tmp_path, caplog):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for path in (root / "a" / "1.png", elsewhere / "deep" / "2.png"):
        _image(path)
        path.with_suffix(".txt").write_text("an image")
    (root / "a" / "up").symlink_to(root)
    (root / "again").symlink_to(root / "a")
    (root / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(tmp_path)
    assert list(_captions(_open(root))) == ["a/1.png", "linked/deep/2.png"]
    assert "skipped" not in caplog.text


def test_a_pipe_is_not_waited_for(tmp_path, caplog):
    _many(tmp_path, 2)
    (tmp_path / "1.png").unlink()
    os.mkfifo(tmp_path / "1.png")
    assert len(_open(tmp_path)) == 1
    assert "1 images that are not files (1.png)" in caplog.text
    (tmp_path / "captions.csv").unlink()
    (tmp_path / "0.txt").write_text("zero")
    (tmp_path / "1.png").unlink()
    _image(tmp_path / "1.png")
    os.mkfifo(tmp_path / "1.txt")
    assert len(_open(tmp_path)) == 1
    assert "1 caption files that are not files (1.txt)" in caplog.text
    os.mkfifo(tmp_path / "captions.csv")
    with pytest.raises(UserError, match=r"captions\.csv: not a file"):
        _open(tmp_path)


def test_the_log_says_how_many_images_are_held_out(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    _many(tmp_path, 200)
    train, test = len(_open(tmp_path)), len(_open(tmp_path, "test"))
    assert f"200 images with captions; {train} in train, {test} held out as test" in caplog.text


def test_a_split_without_an_image_is_not_called_too_small():
    assert describe_split([False] * 119) == "119 in train, 0 held out as test"
