import gzip
import logging
import pickle
import shutil
import tarfile
import threading
import time

import numpy as np
import pytest
from data_toys import add_file, write_shard
from shard_toys import Down, Ranges, forget, levels, opened, serving

from glide_jax.data import Example, images, network, remote
from glide_jax.data import shards as shards_module
from glide_jax.errors import UserError

pytestmark = pytest.mark.usefixtures("shard_cache")


def test_a_server_that_never_answers_is_known_in_time(monkeypatch):
    monkeypatch.setattr(remote, "READ_S", 0.1)
    never = threading.Event()
    with pytest.raises(TimeoutError, match=r"no answer in 0\.1 s"):
        remote.in_time(never.wait)
    never.set()


@pytest.mark.parametrize("path", ["", "/*.tar", "/{00000..00001}.tar", "/{00000,00001}.tar"])
def test_shards_are_a_folder_a_pattern_or_in_braces(shards, path):
    assert levels(opened(f"{shards}{path}")) == list(range(6))


def test_braces_keep_their_zeros_and_multiply(tmp_path):
    expected = [f"{folder}/{number}.tar" for folder in "ab" for number in ("08", "09", "10")]
    assert [
        found.removeprefix(f"file://{tmp_path}/")
        for found in remote.find_tars(f"{tmp_path}/{{a,b}}/{{08..10}}.tar")
    ] == expected
    with pytest.raises(UserError, match=r"[Uu]nbalanced braces") as caught:
        remote.find_tars(f"{tmp_path}/{{08..10.tar")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="its braces are of 2,000,000,000,000 shards"):
        remote.find_tars(f"{tmp_path}/{{0..1}}/{{000000000000..999999999999}}.tar")


def test_captions_are_the_texts_or_the_field_that_is_asked_for(shards):
    assert opened(shards).captions(4) == ("image 4", "number 4")
    assert opened(shards, "webdataset?caption=json/title").captions(4) == ("title 4",)


def test_labels_are_the_field_that_is_asked_for(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for i, text in enumerate((b"7\n", b"no number", None)):
            add_file(tar, f"{i}.png", images.encode_png(np.zeros((4, 4, 3), np.uint8)))
            add_file(tar, f"{i}.txt", b"an image")
            if text:
                add_file(tar, f"{i}.cls", text)
    source = opened(tmp_path, "webdataset?label=cls")
    assert source.classes == ()
    assert [source[i].label for i in range(3)] == [7, None, None]
    assert opened(tmp_path).classes is None


def test_a_caption_in_json_alone_is_found(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add_file(tar, "folder.v1/1.png", images.encode_png(np.zeros((4, 4, 3), np.uint8)))
        add_file(tar, "folder.v1/1.json", b'{"caption": "from  json"}')
    assert opened(tmp_path).captions(0) == ("from json",)


def test_rows_that_lack_something_are_counted_and_named(shards, caplog):
    png = images.encode_png(np.zeros((4, 4, 3), np.uint8))
    with tarfile.open(shards / "00002.tar", "w") as tar:
        add_file(tar, "silent.png", png)
        add_file(tar, "blank.png", png)
        add_file(tar, "blank.txt", b" \n")
        add_file(tar, "blind.txt", b"no image")
    assert len(opened(shards)) == 6
    assert "6 images with captions in 3 shards; skipped 3" in caplog.text
    assert "silent, blank, blind" in caplog.text


def test_an_index_is_made_once_and_again_for_another_shard(shards, tmp_path):
    opened(shards)
    files = sorted((tmp_path / "cache" / "shards").glob("*.json"))
    times = [file.stat().st_mtime_ns for file in files]
    forget()
    opened(shards)
    assert [file.stat().st_mtime_ns for file in files] == times
    write_shard(shards / "00000.tar", [Example(np.full((4, 4, 3), 9, np.uint8), ("nine",), {})], 0)
    forget()
    assert levels(opened(shards)) == [9, 3, 4, 5]


def test_a_shard_that_vanishes_is_named(shards):
    source = opened(shards)
    (shards / "00001.tar").unlink()
    assert levels([source[i] for i in range(3)]) == [0, 1, 2]
    with pytest.raises(images.BrokenImage, match=r"000000004 of .*00001\.tar.* does not exist"):
        source[4]


def test_a_shard_that_is_cut_off_later_gives_a_broken_image(shards):
    source = opened(shards)
    shard = shards / "00001.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(images.BrokenImage, match="cut off"):
        source[5]


def test_what_can_not_be_opened_is_one_line(shards, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.tar").write_bytes(b"not a tar" * 100)
    wrong = {
        "": "set data.path",
        str(tmp_path / "empty"): "no tar shards",
        str(tmp_path / "bad.tar"): r"can't read the shard .*bad\.tar",
        str(tmp_path / "none.tar"): "does not exist",
    }
    for path, message in wrong.items():
        with pytest.raises(UserError, match=message) as caught:
            opened(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no variant '64'"):
        opened(shards, "webdataset/64")
    with pytest.raises(UserError, match="did you mean 'caption'"):
        opened(shards, "webdataset?captoin=txt")
    with pytest.raises(UserError, match="no test split"):
        opened(shards, split="test")
    with pytest.raises(UserError, match="did you mean 'train'"):
        opened(shards, split="trian")


def test_shards_far_away_are_read_in_ranges_and_asked_again(shards, monkeypatch):
    with serving(shards, Ranges) as url:
        source = opened(f"{url}/{{00000..00001}}.tar")
        assert levels(source) == list(range(6))
        monkeypatch.setattr(Ranges, "failures", 1)
        assert source[4].captions == ("image 4", "number 4")
        monkeypatch.setattr(Ranges, "failures", 2)
        with pytest.raises(images.BrokenImage, match="503"):
            source[4]


def test_a_shard_that_is_down_when_a_run_starts_has_its_index_of_the_run_before(
    shards, monkeypatch, caplog
):
    with serving(shards, Down) as url:
        path = f"{url}/{{00000..00001}}.tar"
        fingerprint = opened(path).fingerprint
        forget()
        monkeypatch.setattr(Down, "paths", {"/00001.tar"})
        source = opened(path)
        assert source.fingerprint == fingerprint, "the run continues"
        assert "1 of 2 shards can't be read" in caplog.messages[-1]
        with pytest.raises(images.Unavailable, match="is tried later"):
            source[4]
        assert int(source[2].image[0, 0, 0]) == 2


def test_a_shard_that_no_run_has_read_is_waited_for(shards, monkeypatch, caplog):
    monkeypatch.setattr(shards_module, "_PAUSE_S", 0.0)
    with serving(shards, Down) as url:
        monkeypatch.setattr(Down, "paths", {"/00000.tar"})
        caplog.set_level("WARNING")

        class Mended(logging.Handler):
            def emit(self, record):
                Down.paths = frozenset()

        handler = Mended()
        shards_module._log.addHandler(handler)
        source = opened(f"{url}/{{00000..00001}}.tar")
        shards_module._log.removeHandler(handler)
        assert levels(source) == list(range(6))


def test_what_does_not_come_in_time_is_left_out_and_nothing_at_all_is_one_line(
    shards, monkeypatch, caplog
):
    monkeypatch.setattr(shards_module, "START_S", 0.0)
    with serving(shards, Down) as url:
        monkeypatch.setattr(Down, "paths", {"/00001.tar"})
        source = opened(f"{url}/{{00000..00001}}.tar")
        assert levels(source) == levels(pickle.loads(pickle.dumps(source))) == [0, 1, 2]
        assert "1 of 2 shards can't be read within 0 s and are left out" in caplog.text
        forget()
        shutil.rmtree(shards.parent / "cache")
        monkeypatch.setattr(Down, "paths", {"/00000.tar", "/00001.tar"})
        with pytest.raises(UserError, match=r"no shard at .* within 0 s: .*503") as caught:
            opened(f"{url}/{{00000..00001}}.tar")
    assert "\n" not in str(caught.value)


def test_of_two_servers_one_is_dead(shards, tmp_path, monkeypatch):
    monkeypatch.setattr(shards_module, "START_S", 0.0)
    monkeypatch.setattr(network, "_PAUSE_S", 0.0)
    with serving(shards, Ranges) as dead:
        pass
    with serving(shards, Ranges) as url:
        assert levels(opened(f"{dead}/00000.tar::{url}/00001.tar")) == [3, 4, 5]


def rows(path, *captions, suffix="txt"):
    """A shard of one black image for each caption."""
    with tarfile.open(path, "w") as tar:
        for i, caption in enumerate(captions):
            add_file(tar, f"{i}.png", images.encode_png(np.full((4, 4, 3), i, np.uint8)))
            add_file(tar, f"{i}.{suffix}", caption)


def test_a_caption_is_one_line_of_its_text_whatever_is_in_it(tmp_path):
    rows(tmp_path / "a.tar", "\ufeffa\u2028b\x0cc\r\nsecond\rthird".encode())
    assert opened(tmp_path).captions(0) == ("a b c", "second", "third")


def test_json_captions_that_are_no_text_are_skipped_and_counted(tmp_path, caplog):
    values = ["NaN", "true", '{"en": "a dog"}', "null", "[]", '["a", null, " b  c"]', "7"]
    rows(tmp_path / "a.tar", *(f'{{"caption": {v}}}'.encode() for v in values), suffix="json")
    source = opened(tmp_path)
    assert [source.captions(i) for i in range(len(source))] == [("a", "b c"), ("7",)]
    assert "skipped 5 without an image or a caption" in caplog.text


def test_a_lone_surrogate_in_json_can_be_encoded(tmp_path):
    rows(tmp_path / "a.tar", b'{"caption": "a \\ud83d dog"}', suffix="json")
    (caption,) = opened(tmp_path).captions(0)
    assert caption.encode() == b"a ? dog"


@pytest.mark.parametrize("cut", [0, 100, 512])
def test_a_shard_that_is_cut_off_between_two_files_is_refused(cut, shards):
    shard = shards / "00000.tar"
    with tarfile.open(shard) as tar:
        start = tar.getmembers()[3].offset
    shard.write_bytes(shard.read_bytes()[: start + cut])
    with pytest.raises(UserError, match=r"can't read the shard .*00000\.tar: .*") as caught:
        opened(shards)
    assert "\n" not in str(caught.value)


def test_shards_that_were_joined_by_cat_are_read_completely(shards):
    one, other = shards / "00000.tar", shards / "00001.tar"
    one.write_bytes(one.read_bytes() + other.read_bytes() + bytes(512))
    other.unlink()
    assert levels(opened(shards)) == list(range(6))


@pytest.mark.parametrize("end", [b"something else", b"x" * 700])
def test_what_follows_a_shard_and_is_no_shard_is_refused(end, shards):
    shard = shards / "00001.tar"
    shard.write_bytes(shard.read_bytes() + end)
    with pytest.raises(UserError, match=r"can't read the shard .*00001\.tar"):
        opened(shards)


def test_shards_may_be_joined_by_double_colons(shards):
    one, other = shards / "00000.tar", shards / "00001.tar"
    assert levels(opened(f"{other}::{one}")) == [3, 4, 5, 0, 1, 2]
    assert levels(opened(f"{shards}/{{00000..00001}}.tar::{one}")) == [*range(6), 0, 1, 2]


def test_compressed_shards_are_named_as_the_reason(shards, caplog):
    plain, packed = shards / "00001.tar", shards / "00001.tar.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    for path in (packed, shards / "*.gz"):
        with pytest.raises(UserError, match=r"1 shards are compressed .*gunzip"):
            opened(path)
    assert levels(opened(shards)) == [0, 1, 2]
    assert "1 shards are compressed (" in caplog.text
    packed.rename(plain)
    forget()
    with pytest.raises(UserError, match=r"00001\.tar: it is compressed; unpack it"):
        opened(shards)


@pytest.mark.parametrize("name", ["my [set]", "what?", "a{b,c}", "b*", "a::b"])
def test_what_exists_is_no_pattern(name, shards):
    folder = shards.parent / name
    shards.rename(folder)
    assert levels(opened(folder)) == list(range(6))
    assert levels(opened(f"{folder}/00001.tar")) == [3, 4, 5]


def test_a_cache_folder_that_can_not_be_written_is_one_line(shards, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"can't write the index .*GLIDE_JAX_CACHE") as caught:
        opened(shards)
    assert "\n" not in str(caught.value)


def test_a_server_that_fails_is_left_alone_and_comes_back(shards, monkeypatch, caplog):
    """The second shard answers 503 for a while: the first one's images are read all the same."""
    failing, asked = set(), []

    class Failing(Ranges):
        def do_GET(self):
            asked.append(self.path)
            if self.path in failing:
                self.send_error(503)
            else:
                super().do_GET()

    with serving(shards, Failing) as url:
        source = opened(f"{url}/{{00000..00001}}.tar")
        assert levels(source) == list(range(6))
        failing.add("/00001.tar")
        asked.clear()
        for i in (3, 4, 5):
            with pytest.raises(images.Unavailable, match=r"00001\.tar"):
                source[i]
        assert len(asked) == 2, "one read and its retry, then it is left alone"
        assert int(source[0].image[0, 0, 0]) == 0
        failing.clear()
        source._outages._clock = lambda: time.monotonic() + 1000
        assert int(source[4].image[0, 0, 0]) == 4
    said = [record.getMessage() for record in caplog.records]
    assert "1 of 2 shards can't be read" in said[-2]
    assert "can be read again" in said[-1]
    assert "in which 3 images were replaced; 0 of 2" in said[-1]
