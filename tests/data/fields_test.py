import io
import re

import numpy as np
import pytest
import tensorflow_datasets as tfds
from data_toys import write_shard
from PIL import Image

from glide_jax import data
from glide_jax.data import images
from glide_jax.data.fields import Fields, split_fields, texts, value_at
from glide_jax.data.survey import survey
from glide_jax.errors import UserError


class Fashion(tfds.core.GeneratorBasedBuilder):
    """Two images and a class; JPEGs whose colours are not RGB."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        kinds = {
            "front": tfds.features.Image(),
            "back": tfds.features.Image(),
            "kind": tfds.features.ClassLabel(names=["ankle_boot", "bag"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(kinds))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        buffer = io.BytesIO()
        Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(buffer, "JPEG")
        for i in range(2):
            buffer.seek(0)
            back = images.encode_png(np.zeros((4, 4, 3), np.uint8))
            front = io.BytesIO(buffer.getvalue())
            yield i, {"front": front, "back": io.BytesIO(back), "kind": i}


def test_a_field_map_follows_the_question_mark():
    assert split_fields("coco") == ("coco", Fields())
    assert split_fields("a/b?image=x&caption=y/z") == ("a/b", Fields("x", "y/z"))
    assert split_fields("a?label=z") == ("a", Fields(label="z"))
    for wrong in ("a?img=x", "a?image"):
        with pytest.raises(UserError):
            split_fields(wrong)


def test_texts_are_found_however_they_lie():
    assert list(texts([b" a  b ", "", None, ["c", "d"]])) == ["a b", "c", "d"]
    assert list(texts([7, np.int64(8), np.array([b"c"], object)])) == ["7", "8", "c"]
    assert list(texts([float("nan"), 1.5, True, {"en": "a"}, [None]])) == []
    assert value_at({"a": [{"b": 1}, {"b": 2}]}, ["a", "b"]) == [1, 2]
    assert value_at({"a": {"b": ["x"]}}, ["a", "b"]) == ["x"]
    with pytest.raises(KeyError):
        value_at({"a": "x"}, ["a", "b"])


def test_tfds_asks_which_image_and_takes_a_class_for_a_caption(tmp_path):
    tfds.builder("fashion", data_dir=tmp_path).download_and_prepare(file_format="array_record")
    with pytest.raises(UserError, match=r"which feature is the image.*front, back"):
        data.open_source("tfds/fashion", str(tmp_path), "train")
    source = data.open_source("tfds/fashion?image=front", str(tmp_path), "train")
    captions = sorted(source.captions(i) for i in range(2))
    assert captions == [("ankle boot",), ("bag",)]
    assert source.classes == ("ankle_boot", "bag")
    assert [source.classes[source[i].label].replace("_", " ") for i in range(2)] == [
        source.captions(i)[0] for i in range(2)
    ]
    with pytest.raises(UserError, match=r"no feature 'front' that is an integer; classes: kind"):
        data.open_source("tfds/fashion?image=front&label=front", str(tmp_path), "train")
    assert np.abs(source[0].image.astype(int) - [255, 0, 0]).max() < 10  # CMYK, read by `images`


def test_tfds_says_what_is_wrong_in_one_line(tmp_path):
    tfds.builder("fashion", data_dir=tmp_path).download_and_prepare(file_format="array_record")
    wrong = {
        ("tfds", "train"): "needs a data set's name",
        ("tfds/fashon", "train"): "did you mean 'fashion",
        ("tfds/fashion?image=front", "trian"): "did you mean 'train'",
        ("tfds/fashion?image=front&caption=knd", "train"): "did you mean 'kind'",
        ("tfds/fashion?image=kind", "train"): "which feature is the image",
        ("tfds/fashion?image=front", "train[:x]"): "in any order|slice",
    }
    for (name, split), message in wrong.items():
        with pytest.raises(UserError, match=message) as caught:
            data.open_source(name, str(tmp_path), split)
        assert "\n" not in str(caught.value)


def test_huggingface_says_what_is_wrong_in_one_line(tmp_path):
    datasets = pytest.importorskip("datasets")
    png = images.encode_png(np.zeros((4, 4, 3), np.uint8))
    rows = [{"photo": png, "title": "a", "body": "b", "kind": i % 2} for i in range(4)]
    kinds = {
        "photo": datasets.Value("binary"),
        "title": datasets.Value("string"),
        "body": datasets.Value("string"),
        "kind": datasets.ClassLabel(names=["a_cat", "a_dog"]),
    }
    table = datasets.Dataset.from_list(rows, features=datasets.Features(kinds))
    path = str(tmp_path / "rows.parquet")
    table.to_parquet(path)

    def opened(name, path=path, split="train"):
        return data.open_source(name, path, split)

    assert opened("huggingface?caption=title").captions(0) == ("a",)
    assert opened("huggingface?caption=kind").captions(1) == ("a dog",)
    assert opened("huggingface?caption=kind")[1].image.shape == (4, 4, 3)
    assert len(opened("huggingface?caption=kind", split="train[:3]")) == 3
    wrong = {
        ("huggingface", path, "train"): "which field is the caption.*title, body",
        ("huggingface?caption=x", path, "train"): "no column 'x'.*photo, title",
        ("huggingface?caption=title&label=body", path, "train"): "'body' of .* no integers",
        ("huggingface?caption=title", path, "test"): "can't open",
        ("huggingface", "", "train"): "needs a name",
        ("huggingface", str(tmp_path / "*.pq"), "train"): "no file is called",
    }
    for arguments, message in wrong.items():
        with pytest.raises(UserError, match=message) as caught:
            opened(*arguments)
        assert "\n" not in str(caught.value)


def test_a_folder_of_parquet_files_is_no_pattern(tmp_path):
    datasets = pytest.importorskip("datasets")
    (tmp_path / "my [set]").mkdir()
    table = datasets.Dataset.from_dict({"image": [b"x"] * 3, "text": ["a", "b", "c"]})
    table.to_parquet(tmp_path / "my [set]" / "rows.parquet")
    for path in ("my [set]", "my [set]/rows.parquet", "my [[]set]/*.parquet"):
        source = data.open_source("huggingface", str(tmp_path / path), "train")
        assert [source.captions(i) for i in range(3)] == [("a",), ("b",), ("c",)]


class _Mixed:
    """Ten images, one of them broken."""

    classes = ("grey",)
    fingerprint = "mixed"

    def __len__(self):
        return 10

    def __getitem__(self, i):
        if i == 3:
            raise images.BrokenImage("cannot read the image 3.png: cut off")
        return data.Example(np.full((8 + i, 20, 3), i, np.uint8), self.captions(i), {})

    def captions(self, i):
        return ("the same", f"number {i} of ten")


def test_a_survey_counts_what_is_there_and_what_is_broken():
    found = survey(_Mixed(), sample=100, show=4)
    assert (found.count, found.read, len(found.broken)) == (10, 9, 1)
    assert found.repeated == {"the same": 10}
    assert (found.sides.min(), found.sides.max()) == (8, 17)
    text = "\n".join(found.lines())
    assert "10 images; of 10 sampled, 9 can be read" in text
    assert "3.png: cut off" in text
    assert "10 × 'the same'" in text
    assert "labels: 1 classes (grey)" in text
    assert survey(_Mixed(), sample=2, show=4).read == 2


def test_data_check_prints_the_survey_and_writes_a_contact_sheet(tmp_path, capsys):
    from glide_jax import cli

    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(images.encode_png(np.zeros((9, 9, 3), np.uint8)))
        (tmp_path / f"{i}.txt").write_text("a black square")
    sheet = tmp_path / "out" / "sheet.png"
    check = ["data", "check", "folder", "--path", str(tmp_path), "--out", str(sheet)]
    assert cli.main(check) == 0
    assert "3 images; of 3 sampled, 3 can be read" in capsys.readouterr().out
    assert Image.open(sheet).width > 3 * 160
    assert cli.main(["data", "check", "folder", "--path", str(tmp_path / "nowhere")]) == 2
    assert cli.main([*check, "--sample", "0"]) == 2


@pytest.mark.parametrize("source", ["folder", "webdataset"])
def test_data_check_says_how_many_images_are_held_out(source, tmp_path, capsys, monkeypatch):
    from glide_jax import cli

    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "images"
    root.mkdir()
    examples = [
        data.Example(np.full((9, 9, 3), i, np.uint8), (f"grey {i}",), {}, 0) for i in range(119)
    ]
    if source == "webdataset":
        write_shard(root / "0.tar", examples, 0)
    for i, example in enumerate(examples if source == "folder" else []):
        (root / f"a{i}.png").write_bytes(images.encode_png(example.image))
        (root / f"a{i}.txt").write_text(example.captions[0])
    for split in ("train", "test"):
        check = ["data", "check", source, "--path", str(root), "--split", split]
        assert cli.main([*check, "--out", str(tmp_path / "sheet.png")]) == 0
        text = capsys.readouterr().out
        found = re.search(
            r"119 images with captions.*; (\d+) in train, (\d+) held out as test", text
        )
        assert found, text
        counts = dict(zip(("train", "test"), map(int, found.groups()), strict=True))
        assert sum(counts.values()) == 119
        assert f"{split}: {counts[split]} images; of {counts[split]} sampled" in text
