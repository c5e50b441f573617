"""Data sets that are made once: by one process at a time, completely or not at all."""

import errno
import fcntl
import os
from unittest import mock

import numpy as np
import pytest
from data_toys import CaptionedToy, Toy, prepared_toy, toy_examples

from glide_jax import data
from glide_jax.data import prepared
from glide_jax.errors import UserError


def _same(a, b):
    np.testing.assert_array_equal(a.image, b.image)
    assert (a.captions, a.facts, a.label) == (b.captions, b.facts, b.label)


def test_prepared_keeps_everything(tmp_path):
    stored = {e.facts["number"]: e for e in prepared_toy(tmp_path)}
    for example in toy_examples(12):
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


def test_a_damaged_data_set_is_not_taken_for_complete(tmp_path):
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
        return iter([(0, prepared.record(next(toy_examples(1))))])

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
