import json
import logging

import numpy as np
import pytest

from glide_jax import data
from glide_jax.data import folder, images
from glide_jax.errors import UserError


def _picture(path, level=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(np.full((6, 8, 3), level, np.uint8)))


def _open(root, split="train"):
    return data.open_source("folder", str(root), split)


def _captions(source):
    return dict(source.items)


def test_captions_beside_the_pictures(tmp_path):
    _picture(tmp_path / "cats" / "1.png", 7)
    (tmp_path / "cats" / "1.txt").write_text("  a cat asleep \n\na  grey cat\n")
    _picture(tmp_path / "dog.PNG")
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
        _picture(tmp_path / name)
    (tmp_path / file).write_text(_TABLES[file])
    assert _captions(_open(tmp_path)) == {
        "a.png": ("a cat, asleep", "my cat"),
        "b.png": ("a dog",),
    }


def test_tab_separated_captions_keep_their_quotes(tmp_path):
    _picture(tmp_path / "a.png")
    (tmp_path / "captions.tsv").write_text('a.png\t"Rex" the dog\n')
    assert _captions(_open(tmp_path)) == {"a.png": ('"Rex" the dog',)}


def test_what_is_skipped_is_counted_and_named_in_one_line(tmp_path, caplog):
    for name in ("good.png", "uncaptioned.png", "blank.png", "bytes.png"):
        _picture(tmp_path / name)
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
        "1 pictures with captions",
        "1 broken pictures (broken.png)",
        "3 pictures without a caption (blank.png, bytes.png, uncaptioned.png)",
        "1 caption files that are not UTF-8 text (bytes.txt)",
        "2 files that are not pictures (notes.pdf, orphan.txt)",
    ):
        assert part in message
    assert "hidden" not in message


def test_rows_without_a_picture_are_counted(tmp_path, caplog):
    _picture(tmp_path / "a.png")
    rows = "".join(f"{name},x\n" for name in ("a.png", "../a.png", "b.png", "c.png", "d.png"))
    (tmp_path / "captions.csv").write_text(rows)
    assert len(_open(tmp_path)) == 1
    assert "4 names in captions.csv without a picture (../a.png, b.png, c.png, …)" in caplog.text


def _many(root, count):
    for i in range(count):
        _picture(root / f"{i}.png", i % 256)
    (root / "captions.csv").write_text("".join(f"{i}.png,number {i}\n" for i in range(count)))


def test_test_split_is_a_stable_part_of_the_names(tmp_path):
    _many(tmp_path, 200)
    train, test = _captions(_open(tmp_path)), _captions(_open(tmp_path, "test"))
    assert not train.keys() & test.keys()
    assert len(train) + len(test) == 200
    assert 2 <= len(test) <= 20
    _picture(tmp_path / "another.png")
    with (tmp_path / "captions.csv").open("a") as file:
        file.write("another.png,another\n")
    assert test.keys() <= _captions(_open(tmp_path, "test")).keys()
    assert train.keys() <= _captions(_open(tmp_path)).keys()


def test_a_tiny_folder_is_all_train_and_says_so(tmp_path, caplog):
    _many(tmp_path, folder.MIN_TO_SPLIT - 1)
    assert len(_open(tmp_path)) == folder.MIN_TO_SPLIT - 1
    assert "all are in train" in caplog.text
    with pytest.raises(UserError, match="no test split"):
        _open(tmp_path, "test")


def _missing(root):
    root.rmdir()


def _empty(root):
    pass


def _without_captions(root):
    _picture(root / "a.png")


def _two_files(root):
    _many(root, 1)
    (root / "captions.tsv").write_text("0.png\tnumber 0")


def _short_row(root):
    _picture(root / "a.png")
    (root / "captions.csv").write_text("a.png,fine\na.png\n")


def _not_utf8(root):
    _picture(root / "a.png")
    (root / "captions.csv").write_bytes(b"a.png,\xff\xfe")


def _wrong_key(root):
    _picture(root / "a.png")
    (root / "captions.jsonl").write_text(json.dumps({"file": "a.png", "caption": "x"}))


def _wrong_type(root):
    _picture(root / "a.png")
    (root / "captions.jsonl").write_text(json.dumps({"file_name": "a.png", "caption": [1]}))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing, "no such folder.*data.path"),
        (_empty, "0 pictures with captions.*captions.csv"),
        (_without_captions, r"1 pictures without a caption.*\.txt"),
        (_two_files, "captions.csv and captions.tsv: keep one"),
        (_short_row, "row 2.*no caption"),
        (_not_utf8, "UTF-8"),
        (_wrong_key, "line 1.*file_name"),
        (_wrong_type, "line 1.*string"),
    ],
)
def test_what_people_get_wrong(make, says, tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    make(root)
    with pytest.raises(UserError, match=says) as caught:
        _open(root)
    assert "\n" not in str(caught.value)


def test_sub_folders_may_be_classes(tmp_path, caplog):
    for name in ("dogs/1.png", "cats/2.png", "black_cats/a/3.png", "4.png"):
        _picture(tmp_path / name)
    (tmp_path / "cats" / "2.txt").write_text("a cat asleep")
    source = data.open_source("folder?label=folder", str(tmp_path), "train")
    assert source.classes == ("black_cats", "cats", "dogs")
    found = {source.classes[source[i].label]: source.captions(i) for i in range(3)}
    assert found == {"dogs": ("dogs",), "cats": ("a cat asleep",), "black_cats": ("black cats",)}
    assert "1 pictures in no sub-folder (4.png)" in caplog.text


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


def test_a_picture_that_vanishes_is_named(tmp_path):
    _many(tmp_path, 3)
    source = _open(tmp_path)
    (tmp_path / "1.png").unlink()
    with pytest.raises(UserError, match=r"1\.png"):
        source[1]
