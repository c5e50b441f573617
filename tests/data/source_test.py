"""What every data set must do, whatever it is made of."""

import concurrent.futures
import errno
import fcntl
import io
import os
import pickle
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds
from data_toys import write_shard
from PIL import features

from glide_jax import data
from glide_jax.data import Example, folder, images, prepared
from glide_jax.data.emoji import draw, names
from glide_jax.data.shapes import builder as shapes_builder
from glide_jax.errors import UserError


def _examples(count):
    rng = np.random.default_rng(0)
    for i in range(count):
        image = rng.integers(0, 256, (8 + i, 9, 3), dtype=np.uint8)
        captions = tuple(f"picture {i}, wording {k}" for k in range(1 + i % 3))
        yield Example(image, captions, {"number": i, "parts": ["a", {"b": [1.5]}]}, i % 2)


class Toy(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=prepared.features(("even", "odd")))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, example in enumerate(_examples(12)):
            yield i, prepared.record(example)


class CaptionedToy(tfds.core.GeneratorBasedBuilder):
    """As COCO's captions lie: a picture, a class, and a list of captions with their numbers."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        caption = {"id": tfds.features.Scalar(np.int64), "text": tfds.features.Text()}
        kinds = {
            "image": tfds.features.Image(encoding_format="png"),
            "captions": tfds.features.Sequence(caption),
            "label": tfds.features.ClassLabel(names=["red_square", "blue_ring"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(kinds))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, example in enumerate(_examples(12)):
            captions = [{"id": k, "text": text} for k, text in enumerate(example.captions)]
            image = io.BytesIO(images.encode_png(example.image))  # TFDS encodes with TensorFlow
            yield i, {"image": image, "captions": captions, "label": i % 2}


class _Memory:
    classes = ()

    def __init__(self):
        self._examples = list(_examples(12))

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, i):
        return self._examples[i]

    def captions(self, i):
        return self._examples[i].captions


def _memory(root):
    return _Memory()


def _prepared(root):
    builder = Toy(data_dir=root)
    prepared.prepare(builder)
    return prepared.open_split(builder, "train")


def _folder(root):
    for i, example in enumerate(_examples(12)):
        place = root / ("odd" if i % 2 else "even")
        place.mkdir(exist_ok=True)
        (place / f"{i}.png").write_bytes(images.encode_png(example.image))
        (place / f"{i}.txt").write_text("\n".join(example.captions))
    return folder.open_split("?label=folder", str(root), "train")


def _named_tfds(root):
    data.prepare("tfds/captioned_toy", str(root))
    return data.open_source("tfds/captioned_toy", str(root), "train")


def _webdataset(root):
    examples = list(_examples(12))
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
        for e in _examples(12)
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
    if not os.path.isfile(draw.DEBIAN_FONT) or not features.check("raqm"):
        pytest.skip("needs fonts-noto-color-emoji and raqm (libfribidi0)")
    some = [e for e in names.vocabulary() if not e.tones][::40]
    with (
        mock.patch.object(names, "vocabulary", return_value=some),
        mock.patch.dict(os.environ, {"TFDS_DATA_DIR": str(root)}),
    ):
        data.prepare("emoji/32", "")
        return data.open_source("emoji/32", "", "train")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(_memory, id="memory"),
        pytest.param(_prepared, id="prepared"),
        pytest.param(_folder, id="folder"),
        pytest.param(_named_tfds, id="tfds"),
        pytest.param(_webdataset, id="webdataset"),
        pytest.param(_huggingface, id="huggingface"),
        pytest.param(_shapes, id="shapes"),
        pytest.param(_emoji, id="emoji"),
    ],
)
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


def test_pictures_differ(source):
    assert len({source[i].image.tobytes() for i in range(12)}) == 12


def test_reading_twice_gives_the_same(source):
    for i in (0, 11, 5):
        _same(source[i], source[i])
        _same(source[np.int64(i)], source[i])


def test_captions_need_no_picture(source):
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


def test_beyond_the_end_is_an_index_error(source):
    with pytest.raises(IndexError):
        source[len(source)]


def test_prepared_keeps_everything(tmp_path):
    stored = {e.facts["number"]: e for e in _prepared(tmp_path)}
    for example in _examples(12):
        _same(stored[example.facts["number"]], example)


def test_prepared_once_and_readable_in_slices(tmp_path):
    builder = Toy(data_dir=tmp_path)
    with pytest.raises(UserError, match=r"toy.*prepare"):
        prepared.open_split(builder, "train")
    prepared.prepare(builder)
    times = [f.stat().st_mtime_ns for f in sorted(tmp_path.rglob("*")) if f.is_file()]
    prepared.prepare(builder)
    assert times == [f.stat().st_mtime_ns for f in sorted(tmp_path.rglob("*")) if f.is_file()]
    assert len(prepared.open_split(builder, "train[:5]")) == 5
    with pytest.raises(UserError, match="did you mean 'train'"):
        prepared.open_split(builder, "trian[:5]")
    with pytest.raises(UserError, match="slice"):
        prepared.open_split(builder, "train[:x]")


def test_a_damaged_data_set_is_not_taken_for_whole(tmp_path):
    builder = Toy(data_dir=tmp_path)
    prepared.prepare(builder)
    (builder.data_path / "dataset_info.json").unlink()
    with pytest.raises(UserError, match="delete that folder"):
        prepared.prepare(Toy(data_dir=tmp_path))


def _left_behind(root, version):
    """What a kill leaves of a preparation."""
    folder = root / "toy" / f"incomplete.ABC123_{version}"
    folder.mkdir(parents=True)
    (folder / "toy-train.array_record-00000-of-00001").write_bytes(b"half")
    return folder


def test_what_a_killed_process_left_of_a_data_set_is_cleared(tmp_path):
    left, others = _left_behind(tmp_path, "1.0.0"), _left_behind(tmp_path, "2.0.0")
    prepared.prepare(Toy(data_dir=tmp_path))
    assert not left.exists()
    assert others.exists()
    assert len(prepared.open_split(Toy(data_dir=tmp_path), "train")) == 12


def test_nobody_else_can_make_a_data_set_that_is_being_made(tmp_path, monkeypatch):
    at_work = []

    def watched(self):
        (mine,) = tmp_path.rglob("incomplete.*")
        at_work.append(mine)
        with (tmp_path / "toy" / ".1.0.0.lock").open("w") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return iter([(0, prepared.record(next(_examples(1))))])

    monkeypatch.setattr(Toy, "_generate_examples", watched)
    prepared.prepare(Toy(data_dir=tmp_path))
    assert len(at_work) == 1


def test_nobody_else_downloads_a_named_data_set_meanwhile(tmp_path, monkeypatch):
    at_work = []
    (left := tmp_path / "captioned_toy" / "incomplete.ABC123_1.0.0").mkdir(parents=True)

    def watched(self):
        at_work.append(self)
        assert not left.exists()
        lock = tmp_path / "captioned_toy" / ".1.0.0.lock"
        with lock.open("w") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return iter([])

    monkeypatch.setattr(CaptionedToy, "_generate_examples", watched)
    with pytest.raises(UserError, match="captioned_toy can't be made"):  # of no examples
        data.prepare("tfds/captioned_toy", str(tmp_path))
    assert len(at_work) == 1


def test_who_waited_for_another_process_takes_what_that_one_made(tmp_path, monkeypatch):
    late = Toy(data_dir=tmp_path)
    lock = prepared.lock

    def lock_after_another(path, waiting):
        monkeypatch.setattr(prepared, "lock", lock)
        prepared.prepare(Toy(data_dir=tmp_path))
        monkeypatch.setattr(Toy, "_generate_examples", None)
        return lock(path, waiting)

    monkeypatch.setattr(prepared, "lock", lock_after_another)
    prepared.prepare(late)
    assert len(prepared.open_split(Toy(data_dir=tmp_path), "train")) == 12


def test_without_locks_nothing_of_another_process_is_cleared(tmp_path, monkeypatch):
    no_locks = OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    monkeypatch.setattr(fcntl, "flock", mock.Mock(side_effect=no_locks))
    left = _left_behind(tmp_path, "1.0.0")
    prepared.prepare(Toy(data_dir=tmp_path))
    assert left.exists()
    assert len(prepared.open_split(Toy(data_dir=tmp_path), "train")) == 12


def test_no_room_is_a_user_error(tmp_path):
    (tmp_path / "toy").write_text("a file where the data set's folder should be")
    with pytest.raises(UserError, match="TFDS_DATA_DIR"):
        prepared.prepare(Toy(data_dir=tmp_path))


def test_a_full_disk_is_a_user_error(tmp_path, monkeypatch):
    # In array_record's own words; no disk can be filled here.
    words = "Failed to finalize: write() failed: No space left on device; at byte 303104"
    monkeypatch.setattr(Toy, "_generate_examples", mock.Mock(side_effect=RuntimeError(words)))
    with pytest.raises(UserError, match=r"No space left.*TFDS_DATA_DIR"):
        prepared.prepare(Toy(data_dir=tmp_path))
    monkeypatch.setattr(Toy, "_generate_examples", mock.Mock(side_effect=RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        prepared.prepare(Toy(data_dir=tmp_path))


@pytest.mark.parametrize("call", [data.prepare, lambda n, p: data.open_source(n, p, "train")])
def test_unknown_data_set_names_the_nearest(call):
    known = "emoji, folder, huggingface, shapes, tfds, webdataset"
    with pytest.raises(UserError, match=rf"'shape'.*did you mean 'shapes'.*{known}"):
        call("shape/64", "")


def test_naming_data_sets_imports_none():
    code = "import glide_jax.data, sys; sys.exit('tensorflow_datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
