"""What is no example, in every data set that may have it: it is skipped, counted and named."""

import io
import json
import os
import pickle
import tarfile
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tiny
from data_toys import add_file

from glide_jax import data
from glide_jax.data import folder, images, pipeline
from glide_jax.data.conditioning import caption_conditioning
from glide_jax.data.survey import survey

# --- sources of which an image has no caption: image 1 lacks it, image 2 has an empty one


class SilentToy(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        kinds = {
            "image": tfds.features.Image(encoding_format="png"),
            "captions": tfds.features.Sequence(tfds.features.Text()),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(kinds), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, (image, captions) in enumerate(_silent()):
            yield i, {"image": io.BytesIO(image), "captions": captions}


class UnlabelledToy(SilentToy):
    """The captions are classes, which are unknown, -1, for two images."""

    def _info(self):
        kinds = {
            "image": tfds.features.Image(encoding_format="png"),
            "kind": tfds.features.ClassLabel(names=["image_0", "image_3"]),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(kinds), disable_shuffling=True
        )

    def _generate_examples(self):
        for i, kind in enumerate((0, -1, -1, 1)):
            yield i, {"image": io.BytesIO(_level(i)), "kind": kind}


def _level(i):
    return images.encode_png(np.full((4, 4, 3), i, np.uint8))


def _silent():
    return [(_level(i), c) for i, c in enumerate((["image 0"], [], [" \n"], ["image 3"]))]


def _silent_folder(root):
    for i, (image, captions) in enumerate(_silent()):
        (root / f"{i}.png").write_bytes(image)
        if captions:
            (root / f"{i}.txt").write_text(captions[0])
    return folder.open_split("", str(root), "train")


def _silent_jsonl(root):
    for i, (image, _) in enumerate(_silent()):
        (root / f"{i}.png").write_bytes(image)
    captions = ("image 0", None, " ", ["image 3"])
    rows = [{"file_name": f"{i}.png", "caption": caption} for i, caption in enumerate(captions)]
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder.open_split("", str(root), "train")


def _silent_webdataset(root):
    with tarfile.open(root / "0.tar", "w") as tar:
        for i, (image, captions) in enumerate(_silent()):
            add_file(tar, f"{i}.png", image)
            if captions:
                add_file(tar, f"{i}.txt", captions[0].encode())
    with mock.patch.dict(os.environ, {"GLIDE_JAX_CACHE": str(root / "cache")}):
        return data.open_source("webdataset", str(root), "train")


def _silent_tfds(root):
    data.prepare("tfds/silent_toy", str(root))
    return data.open_source("tfds/silent_toy", str(root), "train")


def _unlabelled_tfds(root):
    data.prepare("tfds/unlabelled_toy", str(root))
    return data.open_source("tfds/unlabelled_toy", str(root), "train")


def _silent_parquet(captions, kind=None):
    def opened(root):
        datasets = pytest.importorskip("datasets")
        rows = {"image": [image for image, _ in _silent()], "caption": captions}
        kinds = {"image": datasets.Value("binary")}
        kinds["caption"] = kind(datasets) if kind else datasets.Value("string")
        table = datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))
        table.to_parquet(root / "rows.parquet")
        return data.open_source("huggingface?caption=caption", str(root / "rows.parquet"), "train")

    return opened


@pytest.mark.parametrize(
    "open_silent",
    [
        pytest.param(_silent_folder, id="folder"),
        pytest.param(_silent_jsonl, id="folder-jsonl"),
        pytest.param(_silent_webdataset, id="webdataset"),
        pytest.param(_silent_tfds, id="tfds"),
        pytest.param(_unlabelled_tfds, id="tfds-classes"),
        pytest.param(_silent_parquet(["image 0", None, " ", "image 3"]), id="huggingface"),
        pytest.param(
            _silent_parquet(
                [["image 0"], None, ["", None], ["image 3"]], lambda d: d.List(d.Value("string"))
            ),
            id="huggingface-lists",
        ),
        pytest.param(
            _silent_parquet([0, None, -1, 1], lambda d: d.ClassLabel(names=["image_0", "image_3"])),
            id="huggingface-classes",
        ),
    ],
)
def test_an_image_without_a_caption_is_no_example_and_is_counted(open_silent, tmp_path, caplog):
    source = open_silent(tmp_path)
    source = pickle.loads(pickle.dumps(source))
    found = {}
    for i in range(len(source)):
        if source.captions(i):
            assert source[i].captions == source.captions(i)
            found[source[i].captions] = int(source[i].image[0, 0, 0])
        else:
            with pytest.raises(images.BrokenImage, match="has no caption"):
                source[i]
    assert found == {("image 0",): 0, ("image 3",): 3}
    found = survey(source, sample=10, show=4)
    assert (found.read, [caption for _, caption in found.shown]) == (2, ["image 0", "image 3"])
    assert len(found.broken) == 2 or "skipped 2" in caplog.text
    with pipeline.batches(
        source,
        caption_conditioning(tiny.reader()),
        image_size=4,
        crop_size=0,
        batch_size=4,
        seed=0,
        process_index=0,
        process_count=1,
        workers=0,
        start_step=0,
    ) as batches:
        levels = images.to_uint8(next(batches)["image"])
    assert set(levels.ravel().tolist()) == {0, 3}


def _latin_folder(root):
    for i, name in enumerate([b"caf\xe9", *(b"%d" % i for i in range(119))]):
        path = os.path.join(os.fsencode(root), name)
        with open(path + b".png", "wb") as image, open(path + b".txt", "w") as text:
            image.write(_level(i) if i else b"broken")
            text.write(f"image {i}")
    return folder.open_split("", str(root), "train")


def _latin_webdataset(root):
    with tarfile.open(root / "0.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for i, name in enumerate(["caf\xe9", *map(str, range(119))]):
            add_file(tar, f"{name}.png", _level(i))
            if i:
                add_file(tar, f"{name}.txt", f"image {i}".encode())
    with mock.patch.dict(os.environ, {"GLIDE_JAX_CACHE": str(root / "cache")}):
        return data.open_source("webdataset", str(root), "train")


@pytest.mark.parametrize("open_latin", [_latin_folder, _latin_webdataset])
def test_a_name_that_is_not_utf_8_is_printable(open_latin, tmp_path, caplog):
    assert len(open_latin(tmp_path)) > 100
    (message,) = [record.getMessage() for record in caplog.records]
    assert r"caf\udce9" in message.encode("ascii").decode()
    assert "119 images with captions" in message
