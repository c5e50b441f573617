"""What every data set must do, whatever it is made of."""

import concurrent.futures
import dataclasses
import os
import pickle
import re
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from data_toys import prepared_toy, toy_examples, write_shard
from PIL import features

from glide_jax import data
from glide_jax.data import Example, folder, images
from glide_jax.data.emoji import names, render
from glide_jax.data.shapes import builder as shapes_builder
from glide_jax.errors import UserError

_EXAMPLES = list(toy_examples(12))


class _Memory:
    classes = ()
    fingerprint = "memory"

    def __init__(self):
        self._examples = _EXAMPLES

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, i):
        return self._examples[i]

    def captions(self, i):
        return self._examples[i].captions


def _memory(root):
    return _Memory()


def _folder(root, examples=_EXAMPLES):
    for i, example in enumerate(examples):
        place = root / ("odd" if i % 2 else "even")
        place.mkdir(exist_ok=True)
        (place / f"{i}.png").write_bytes(images.encode_png(example.image))
        (place / f"{i}.txt").write_text("\n".join(example.captions))
    return folder.open_split("?label=folder", str(root), "train")


def _named_tfds(root):
    data.prepare("tfds/captioned_toy", str(root))
    return data.open_source("tfds/captioned_toy", str(root), "train")


def _webdataset(root, examples=_EXAMPLES):
    for shard in range(3):
        write_shard(root / f"{shard:05}.tar", examples[4 * shard : 4 * shard + 4], 4 * shard)
    with mock.patch.dict(os.environ, {"GLIDE_JAX_CACHE": str(root / "cache")}):
        return data.open_source("webdataset?label=json/class", str(root), "train")


def _huggingface(root, examples=_EXAMPLES):
    datasets = pytest.importorskip("datasets")
    rows = [
        {
            "image": {"bytes": images.encode_png(e.image), "path": None},
            "captions": e.captions,
            "kind": e.label,
        }
        for e in examples
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
def make(request):
    return request.param


@pytest.fixture(scope="module")
def source(make, tmp_path_factory):
    return make(tmp_path_factory.mktemp("data"))


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


def test_the_same_data_elsewhere_have_the_same_fingerprint(make, source, tmp_path):
    assert make(tmp_path).fingerprint == source.fingerprint
    assert pickle.loads(pickle.dumps(source)).fingerprint == source.fingerprint
    assert re.fullmatch("[0-9a-f]{32}|memory", source.fingerprint)


def _changed():
    """The examples with one thing changed, each time another one."""
    before, one, after = _EXAMPLES[:3], _EXAMPLES[3], _EXAMPLES[4:]
    yield [*before, dataclasses.replace(one, captions=("another caption",)), *after]
    yield [*before, dataclasses.replace(one, image=one.image[:-1]), *after]
    yield _EXAMPLES[:-1]
    yield _EXAMPLES[1:] + _EXAMPLES[:1]


@pytest.mark.parametrize("open_with", [_folder, _webdataset, _huggingface])
def test_other_data_have_another_fingerprint(open_with, tmp_path):
    found = set()
    for i, examples in enumerate([_EXAMPLES, *_changed()]):
        (tmp_path / f"{i}").mkdir()
        found.add(open_with(tmp_path / f"{i}", examples).fingerprint)
    assert len(found) == 5


def test_beyond_the_end_is_an_index_error(source):
    with pytest.raises(IndexError):
        source[len(source)]


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
