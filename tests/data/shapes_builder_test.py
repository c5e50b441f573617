import pickle

import numpy as np
import pytest

from glide_jax import data
from glide_jax.data.shapes import builder
from glide_jax.errors import UserError

SPLITS = {"train": 12, "test": 5, "compositional": 4}


@pytest.fixture(autouse=True)
def small_splits(monkeypatch):
    monkeypatch.setattr(builder, "SPLITS", SPLITS)


@pytest.fixture
def folder(tmp_path):
    data.prepare("shapes/32", str(tmp_path))
    return str(tmp_path)


def test_a_folder_of_somebody_s_images_is_not_where_it_is_kept(tmp_path):
    (tmp_path / "Rex.JPG").touch()
    with pytest.raises(UserError, match=r"holds images \(Rex\.JPG\), .* data\.source=folder"):
        data.prepare("shapes/32", str(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["Rex.JPG"]


def test_records_are_the_scenes_in_order(folder):
    for split, count in SPLITS.items():
        source = data.open_source("shapes/32", folder, split)
        assert len(source) == count
        for i in range(count):
            made, read = builder.example(split, i, 32), source[i]
            np.testing.assert_array_equal(read.image, made.image)
            assert read.image.shape == (32, 32, 3)
            assert (read.captions, read.facts) == (made.captions, made.facts)
            colour, shape = source.classes[read.label].split()
            assert read.label == made.label
            assert any((o["shape"], o["colour"]) == (shape, colour) for o in read.facts["objects"])
        assert list(data.captions(source)) == [source[i].captions[0] for i in range(count)]
        with pytest.raises(IndexError):
            source[count]


def test_slices_and_pickling(folder):
    tail = data.open_source("shapes/32", folder, "train[8:]")
    assert len(tail) == 4
    whole = pickle.loads(pickle.dumps(data.open_source("shapes/32", folder, "train")))
    assert tail[0].captions == whole[8].captions


def test_making_it_twice_gives_the_same_bytes(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    data.prepare("shapes/32", str(other))
    files = sorted(other.rglob("*.array_record*"))
    assert len(files) == len(SPLITS)
    for file in files:
        twin = file.relative_to(other)
        assert file.read_bytes() == (type(file)(folder) / twin).read_bytes()


def test_what_is_there_is_not_made_again(folder, monkeypatch):
    monkeypatch.setattr(builder, "example", None)
    data.prepare("shapes/32", folder)


def test_an_interrupted_preparation_leaves_nothing_that_opens(tmp_path, monkeypatch):
    example = builder.example

    def interrupted(split, index, size):
        if split == "test":
            raise KeyboardInterrupt
        return example(split, index, size)

    with monkeypatch.context() as patch:
        patch.setattr(builder, "example", interrupted)
        with pytest.raises(KeyboardInterrupt):
            data.prepare("shapes/32", str(tmp_path))
    with pytest.raises(UserError):
        data.open_source("shapes/32", str(tmp_path), "train")
    data.prepare("shapes/32", str(tmp_path))
    assert len(data.open_source("shapes/32", str(tmp_path), "train")) == SPLITS["train"]


def test_unknown_names_are_answered_with_the_known_ones(folder):
    with pytest.raises(UserError, match="compositional, test, train"):
        data.open_source("shapes/32", folder, "validation")
    for variant in ("shapes", "shapes/48"):
        with pytest.raises(UserError, match="64"):
            data.open_source(variant, folder, "train")


def test_sizes_show_the_same_scenes():
    small, large = builder.example("test", 3, 32), builder.example("test", 3, 64)
    assert (small.captions, small.facts) == (large.captions, large.facts)
    averaged = large.image.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(averaged - small.image).mean() < 1
