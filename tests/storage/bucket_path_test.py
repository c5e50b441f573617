"""A path in a bucket is a Path: joined, read, listed, written; what fails is one line."""

import os
import pickle
import time
from pathlib import Path

import pytest
from refusals import refused

from glide_jax import cli, entry
from glide_jax.storage import (
    BucketError,
    BucketPath,
    bucket,
    check_writable,
    download,
    local_copy,
    remove_tree,
    storage_path,
    upload,
)
from glide_jax.writing import DiskError, atomic_path


@pytest.fixture
def folder(store):
    return storage_path(store.url("runs/1"))


@pytest.mark.parametrize("scheme", bucket.SCHEMES)
def test_it_is_joined_and_taken_apart_as_a_path(scheme):
    path = storage_path(f"{scheme}://bucket/runs//./1/")
    assert isinstance(path, BucketPath)
    assert str(path) == f"{scheme}://bucket/runs/1"
    assert path == storage_path(path) == storage_path(str(path)) == pickle.loads(pickle.dumps(path))
    assert str(path / "a" / "b.txt") == f"{scheme}://bucket/runs/1/a/b.txt"
    assert (path / "b.txt").parent == path == (path / "b.txt").parents[0]
    assert (path / "b.txt").with_suffix(".png") == path / "b.png"
    assert ((path / "b.txt").stem, path.name) == ("b", "1")
    assert (path / "a" / "b").relative_to(path).as_posix() == "a/b"
    assert path == path.absolute() == path.resolve() == path.expanduser()
    assert f"{path!r}" == f"BucketPath('{scheme}://bucket/runs/1')"


@pytest.mark.parametrize("path", ["", ".", "/a/b", "runs/1", "./gs:/1", "a b:c/d", "a/gs://b"])
def test_a_local_path_stays_what_it_is(path):
    assert storage_path(path) == Path(path)
    assert not isinstance(storage_path(path), BucketPath)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gcs://bucket/runs/1", ("gs://bucket/runs/1",)),
        ("az://bucket/runs/1", ("az://bucket/runs/1 is not a path",)),
        ("http://host/runs/1", ("http://host/runs/1 is not a path",)),
        ("gs://bucket", ("gs://bucket names no place", "gs://bucket/runs/1")),
        ("s3://bucket/", ("names no place", "s3://bucket/runs/1")),
        ("s3://", ("s3://BUCKET/runs/1",)),
        ("gs://bucket/../other/1", ("names no place",)),
    ],
)
def test_what_is_no_place_is_one_line(url, words):
    refused(lambda: storage_path(url), *words)


def test_the_system_never_gets_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = storage_path("gs://bucket/runs/1")
    for use in (open, os.fspath, os.makedirs, lambda path: path.touch(), lambda p: p.chmod(0)):
        refused(lambda use=use: use(path), "gs://bucket/runs/1 is in a bucket")
    assert list(tmp_path.iterdir()) == []


def test_whole_objects_are_written_read_listed_and_deleted(folder):
    assert not folder.exists()
    assert not folder.is_dir()
    folder.mkdir(parents=True)
    assert not folder.exists()
    (folder / "a" / "b.txt").write_text("blåbär")
    assert (folder / "c.bin").write_bytes(b"\0\xff") == 2
    assert (folder / "a" / "b.txt").read_text() == "blåbär"
    with (folder / "c.bin").open("rb") as file:
        assert file.read() == b"\0\xff"
    assert (folder / "c.bin").stat().st_size == 2
    assert folder.is_dir()
    assert (folder / "a").is_dir()
    assert not (folder / "a").is_file()
    assert (folder / "c.bin").is_file()
    assert list(folder.iterdir()) == [folder / "a", folder / "c.bin"]
    assert list(folder.glob("*/b.*")) == list(folder.glob("a/b.txt")) == [folder / "a" / "b.txt"]
    assert list(folder.glob("x/*")) == list(folder.glob("*.png")) == []
    assert list(folder.rglob("*")) == [folder / "a" / "b.txt", folder / "c.bin"]
    (folder / "c.bin").unlink()
    (folder / "c.bin").unlink(missing_ok=True)
    remove_tree(folder)
    assert not folder.exists()
    with pytest.raises(FileNotFoundError):
        (folder / "c.bin").read_bytes()
    with pytest.raises(FileNotFoundError):
        list(folder.iterdir())


def test_an_object_appears_when_it_is_complete(folder):
    path = folder / "a.json"
    with atomic_path(path) as part:
        part.write_text("1")
        assert not path.exists()

    def fail():
        with atomic_path(path) as part:
            part.write_text("2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "1"
    assert [p.name for p in folder.iterdir()] == ["a.json"]


@pytest.mark.newest
def test_a_folder_goes_there_and_back_its_marker_last(store, folder, tmp_path):
    for name in ("a", "b/c", "marker"):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text(name)
    upload(tmp_path / "out", folder, last=["marker"])
    writes = [path for method, path in store.faults.requests if method in ("PUT", "POST")]
    assert len(writes) == 3
    download(folder, tmp_path / "back", lambda name: name != "a")
    assert sorted(p.name for p in (tmp_path / "back").rglob("*") if p.is_file()) == ["c", "marker"]
    assert (tmp_path / "back" / "b" / "c").read_text() == "b/c"


def test_a_copy_is_kept_until_the_object_changes(store, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path))
    path = folder / "a.npy"
    path.write_text("1")
    first = local_copy(path)
    assert (first.read_text(), first.name) == ("1", "a.npy")
    store.faults.requests.clear()
    assert local_copy(path) == first
    got = [path for method, path in store.faults.requests if method == "GET"]
    assert not [path for path in got if "alt=media" in path or path.endswith("a.npy")]
    path.write_text("23")
    assert local_copy(path).read_text() == "23"
    assert (local_copy(folder) / "a.npy").read_text() == "23"
    refused(lambda: local_copy(folder / "none"), "none is not there")
    assert local_copy(tmp_path) == tmp_path


def test_a_small_object_takes_few_requests(store, folder):
    (folder / "a").write_text("1")
    store.faults.requests.clear()
    (folder / "a").write_text("2")
    assert len(store.faults.requests) == 1
    (folder / "a").read_text()
    # s3fs asks first how long it is.
    assert len(store.faults.requests) <= 3


def test_503_is_asked_again(store, folder):
    (folder / "a").write_text("1")
    store.faults.unavailable = 2
    (folder / "a").write_text("2")
    assert (folder / "a").read_text() == "2"
    assert store.faults.unavailable == 0


def test_denied_is_said_at_once_and_never_taken_for_absent(store, folder):
    (folder / "a").write_text("1")
    store.faults.denied = True
    for ask in (folder.exists, folder.is_dir, lambda: list(folder.iterdir())):
        with pytest.raises(PermissionError, match="access is denied"):
            ask()

    def write():
        with atomic_path(folder / "a") as part:
            part.write_text("2")

    begun = time.monotonic()
    with pytest.raises(DiskError):
        write()
    refused(write, f"can't write {folder / 'a'}", "access is denied", "run the same command again")
    assert time.monotonic() - begun < 10


def test_a_bucket_that_vanishes_is_no_missing_file(store, folder):
    (folder / "a").write_text("1")
    store.vanish()
    with pytest.raises(PermissionError, match="there is no bucket"):
        (folder / "a").write_text("2")


def test_a_bucket_that_is_not_there(store):
    url = f"{store.scheme}://no-such-bucket/runs/1"
    refused(lambda: check_writable(storage_path(url)), "there is no bucket", "no-such-bucket")


def test_a_bucket_that_only_lets_read(store, folder):
    store.faults.writes_denied = True
    refused(lambda: check_writable(folder), f"can't write to {folder}", "access is denied")


def test_what_stays_broken_is_an_error_with_the_reason(store, folder, monkeypatch):
    monkeypatch.setattr(bucket, "RETRY_PAUSES_S", (0.01,))
    asked = []

    def fail(system):
        asked.append(1)
        raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(BucketError) as caught:
        folder.ask(fail)
    assert (caught.value.strerror, len(asked)) == ("Connection reset by peer", 2)


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    bucket.open_bucket.cache_clear()

    def missing(scheme):
        raise ImportError(f"No module named {scheme}fs")

    monkeypatch.setattr(bucket, "_file_system", missing)
    refused(storage_path("s3://bucket/1").exists, "pip install 'glide_jax[remote]'")


def test_no_answer_is_one_line_before_a_minute_is_over(monkeypatch):
    bucket.open_bucket.cache_clear()
    monkeypatch.setattr(bucket, "ANSWER_S", 0.05)
    monkeypatch.setattr(bucket, "_file_system", lambda scheme: None)
    monkeypatch.setattr(bucket, "_list_one", lambda *_: time.sleep(0.5))
    refused(storage_path("gs://bucket/1").exists, "can't open gs://bucket: no answer in 0.05 s")


def test_a_command_says_in_one_line_that_no_server_answers(tmp_path, monkeypatch, capfd):
    """Before JAX starts; nothing is made."""
    pytest.importorskip("gcsfs")
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setattr(bucket, "ANSWER_S", 0.5)
    bucket.open_bucket.cache_clear()
    fsspec.get_filesystem_class("gs").clear_instance_cache()
    words = ["train", "--config=quickstart", "--workdir=gs://bucket/runs/1"]
    assert cli.main(words) == entry.BAD_INPUT
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("error: can't open gs://bucket: ")
    assert list(tmp_path.iterdir()) == []
    bucket.open_bucket.cache_clear()
