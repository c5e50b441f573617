"""What every data set must do, whatever it is made of."""

import concurrent.futures
import dataclasses
import io
import json
import os
import pickle
import re
import subprocess
import sys
import tarfile
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tiny
from data_toys import add_file, prepared_toy, toy_examples, write_shard
from PIL import features

from glide_jax import data
from glide_jax.data import Example, folder, images, pipeline
from glide_jax.data.conditioning import caption_conditioning
from glide_jax.data.emoji import names, render
from glide_jax.data.shapes import builder as shapes_builder
from glide_jax.data.survey import survey
from glide_jax.errors import UserError


class _Memory:
    classes = ()
    fingerprint = "memory"

    def __init__(self):
        self._examples = list(toy_examples(12))

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, i):
        return self._examples[i]

    def captions(self, i):
        return self._examples[i].captions


def _memory(root):
    return _Memory()


def _folder(root):
    for i, example in enumerate(toy_examples(12)):
        place = root / ("odd" if i % 2 else "even")
        place.mkdir(exist_ok=True)
        (place / f"{i}.png").write_bytes(images.encode_png(example.image))
        (place / f"{i}.txt").write_text("\n".join(example.captions))
    return folder.open_split("?label=folder", str(root), "train")


def _named_tfds(root):
    data.prepare("tfds/captioned_toy", str(root))
    return data.open_source("tfds/captioned_toy", str(root), "train")


def _webdataset(root):
    examples = list(toy_examples(12))
    for shard in range(3):
        write_shard(root / f"{shard:05}.tar", examples[4 * shard : 4 * shard + 4], 4 * shard)
    with mock.patch.dict(os.environ, {"GLIDE_JAX_CACHE": str(root / "cache")}):
        return data.open_source("webdataset?label=json/class", str(root), "train")


def _huggingface(root):
    datasets = pytest.importorskip("datasets")
    rows = [
        {
            "image": {"bytes": images.encode_png(e.image), "path": None},
            "captions": e.captions,
            "kind": e.label,
        }
        for e in toy_examples(12)
    ]
    kinds = {"image": datasets.Image(), "captions": datasets.List(datasets.Value("string"))}
    kinds["kind"] = datasets.ClassLabel(names=["even", "odd"])
    table = datasets.Dataset.from_list(rows, features=datasets.Features(kinds))
    table.to_parquet(root / "rows.parquet")
    return data.open_source("huggingface", str(root / "*.parquet"), "train")


def _shapes(root):
    with mock.patch.object(shapes_builder, "SPLITS", {"train": 12}):
        data.prepare("shapes/32", str(root))
        return data.open_source("shapes/32", str(root), "train")


def _emoji(root):
    if not os.path.isfile(render.DEBIAN_FONT) or not features.check("raqm"):
        pytest.skip("needs fonts-noto-color-emoji and raqm (libfribidi0)")
    some = [e for e in names.vocabulary() if not e.tones][::40]
    with (
        mock.patch.object(names, "vocabulary", return_value=some),
        mock.patch.dict(os.environ, {"TFDS_DATA_DIR": str(root)}),
    ):
        data.prepare("emoji/32", "")
        return data.open_source("emoji/32", "", "train")


_ALL = [
    pytest.param(_memory, id="memory"),
    pytest.param(prepared_toy, id="prepared"),
    pytest.param(_folder, id="folder"),
    pytest.param(_named_tfds, id="tfds"),
    pytest.param(_webdataset, id="webdataset"),
    pytest.param(_huggingface, id="huggingface"),
    pytest.param(_shapes, id="shapes"),
    pytest.param(_emoji, id="emoji"),
]


@pytest.fixture(scope="module", params=_ALL)
def source(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("data"))


def _same(a, b):
    np.testing.assert_array_equal(a.image, b.image)
    assert (a.captions, a.facts, a.label) == (b.captions, b.facts, b.label)


def test_is_a_source(source):
    assert isinstance(source, data.Source)
    assert len(source) >= 12


def test_items_have_the_promised_types(source):
    for i in range(12):
        example = source[i]
        assert isinstance(example, Example)
        assert example.image.dtype == np.uint8
        assert example.image.ndim == 3
        assert example.image.shape[2] == 3
        assert example.captions
        assert all(isinstance(c, str) and c for c in example.captions)


def test_labels_number_the_classes(source):
    labels = [source[i].label for i in range(12)]
    if source.classes is None:
        assert set(labels) == {None}
        return
    assert all(type(label) is int for label in labels)
    assert len(set(labels)) > 1
    if source.classes:
        assert 0 <= min(labels) <= max(labels) < len(source.classes)


def test_images_differ(source):
    assert len({source[i].image.tobytes() for i in range(12)}) == 12


def test_reading_twice_gives_the_same(source):
    for i in (0, 11, 5):
        _same(source[i], source[i])
        _same(source[np.int64(i)], source[i])


def test_captions_need_no_image(source):
    assert all(source.captions(i) == source[i].captions for i in range(12))
    expected = [c for i in range(len(source)) for c in source.captions(i)]
    assert list(data.captions(source)) == expected


def test_survives_pickling(source):
    other = pickle.loads(pickle.dumps(source))
    assert len(other) == len(source)
    _same(other[3], source[3])


def test_threads_may_share_it(source):
    expected = [source[i] for i in range(12)]
    other = pickle.loads(pickle.dumps(source))  # nothing opened yet
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for i, example in enumerate(pool.map(lambda k: other[k % 12], range(120))):
            _same(example, expected[i % 12])


@pytest.mark.parametrize("make", _ALL)
def test_the_same_data_elsewhere_have_the_same_fingerprint(make, tmp_path):
    made = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        made.append(make(tmp_path / place))
    here, there = made
    assert here.fingerprint == there.fingerprint
    assert pickle.loads(pickle.dumps(here)).fingerprint == here.fingerprint
    assert re.fullmatch("[0-9a-f]{32}|memory", here.fingerprint)


def _rename(examples):
    examples[3] = dataclasses.replace(examples[3], captions=("another caption",))
    return examples


def _resize(examples):
    examples[3] = dataclasses.replace(examples[3], image=examples[3].image[:-1])
    return examples


@pytest.mark.parametrize("make", [_folder, _webdataset, _huggingface])
@pytest.mark.parametrize("change", [_rename, _resize, lambda e: e[:-1], lambda e: e[1:] + e[:1]])
def test_other_data_have_another_fingerprint(make, change, tmp_path, monkeypatch):
    made = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        made.append(make(tmp_path / place))
        changed = change(list(toy_examples(12)))
        monkeypatch.setitem(globals(), "toy_examples", lambda _, changed=changed: changed)
    assert made[0].fingerprint != made[1].fingerprint


def test_beyond_the_end_is_an_index_error(source):
    with pytest.raises(IndexError):
        source[len(source)]


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
        levels = images.to_uint8(np.stack([next(batches)["image"] for _ in range(4)]))
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


@pytest.mark.parametrize("call", [data.prepare, lambda n, p: data.open_source(n, p, "train")])
def test_unknown_data_set_names_the_nearest(call):
    known = "emoji, folder, huggingface, shapes, tfds, webdataset"
    with pytest.raises(UserError, match=rf"'shape'.*did you mean 'shapes'.*{known}"):
        call("shape/64", "")


def test_what_sampling_imports_is_light():
    code = """if True:
        import sys
        import glide_jax.data, glide_jax.data.conditioning, glide_jax.data.images
        glide_jax.data.check_name("emoji/64")
        heavy = {"grain", "tensorflow_datasets", "emoji", "datasets", "matplotlib", "fsspec"}
        sys.exit(", ".join(heavy & set(sys.modules)) or 0)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
