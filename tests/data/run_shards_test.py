import gzip
import pickle
import shutil
import time

import numpy as np
import pytest
from shard_toys import Down, Ranges, forget, levels, opened, serving, write_shards

from glide_jax import data
from glide_jax.data import images
from glide_jax.errors import UserError

pytestmark = pytest.mark.usefixtures("shard_cache")


@pytest.fixture
def many(tmp_path):
    """Three shards of eighty images each: the name of each decides its split."""
    return write_shards(tmp_path / "many", 3, 80)


def goes_on(path, file, tmp_path, source="webdataset"):
    """The run's data on a machine that has never read them."""
    forget()
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    return data.open_kept(source, str(path), "train", file)


def test_a_run_goes_on_elsewhere_with_what_it_began_with(many, tmp_path, monkeypatch, caplog):
    """A shard is down: the same images in the same order, all others readable; then it is back."""
    file = tmp_path / "run" / "shards.jsonl.gz"
    with serving(many, Down) as url:
        path = f"{url}/{{00000..00002}}.tar"
        began = opened(path)
        data.keep(began, file)
        monkeypatch.setattr(Down, "paths", {"/00001.tar"})
        source = goes_on(path, file, tmp_path)
        assert (source.fingerprint, len(source)) == (began.fingerprint, len(began))
        assert [source.captions(i) for i in range(len(source))] == [
            began.captions(i) for i in range(len(began))
        ]
        (line,) = [line for line in caplog.messages if "can't be read" in line]
        assert line.startswith("cannot read the shard http://127.0.0.1:")
        assert "00001.tar" in line
        assert "images of other shards replace its own" in line
        assert "1 of 3 shards" in line
        down = [i for i in range(len(source)) if 80 <= int(source.captions(i)[0][6:]) < 160]
        with pytest.raises(images.Unavailable):
            source[down[0]]
        np.testing.assert_array_equal(source[down[-1] + 1].image, began[down[-1] + 1].image)
        Down.paths = frozenset()
        source._outages._clock = lambda: time.monotonic() + 1000
        np.testing.assert_array_equal(source[down[0]].image, began[down[0]].image)


def test_a_machine_that_has_never_read_a_run_s_shards_reads_none_to_its_end(shards, tmp_path):
    asked = []

    class Counted(Ranges):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    file = tmp_path / "shards.jsonl.gz"
    with serving(shards, Counted) as url:
        path = f"{url}/{{00000..00001}}.tar"
        data.keep(opened(path), file)
        asked.clear()
        source = goes_on(path, file, tmp_path)
        assert asked == []
        assert levels(source) == list(range(6))


@pytest.mark.parametrize("named", ["folder", "braces"])
def test_a_shard_that_is_gone_for_good_ends_no_run_that_began_with_it(
    named, shards, tmp_path, caplog
):
    path = shards if named == "folder" else f"{shards}/{{00000..00001}}.tar"
    file = tmp_path / "shards.jsonl.gz"
    began = opened(path)
    data.keep(began, file)
    (shards / "00001.tar").unlink()
    source = goes_on(path, file, tmp_path)
    assert (source.fingerprint, len(source)) == (began.fingerprint, len(began))
    assert "00001.tar: it does not exist; images of other shards replace its own" in caplog.text
    for i, level in enumerate([0, 1, 2]):
        assert int(source[i].image[0, 0, 0]) == level
    with pytest.raises(images.Unavailable):
        pickle.loads(pickle.dumps(source))[4]
    # Of a run that begins, it is a mistake in data.path where that names it.
    forget()
    if named == "braces":
        with pytest.raises(UserError, match="does not exist"):
            opened(path)


def test_a_shard_that_comes_later_stays_out_of_a_run(shards, tmp_path, caplog):
    (shards / "00001.tar").rename(shards / "later")
    file = tmp_path / "shards.jsonl.gz"
    began = opened(shards)
    data.keep(began, file)
    (shards / "later").rename(shards / "00001.tar")
    source = goes_on(shards, file, tmp_path)
    assert source.fingerprint == began.fingerprint
    assert levels(source) == [0, 1, 2]
    assert "1 of 2 shards stay out of this run, which began without them" in caplog.text


def test_what_is_kept_is_of_one_path_and_one_map_of_fields(shards, tmp_path):
    file = tmp_path / "shards.jsonl.gz"
    assert goes_on(shards, file, tmp_path) is None
    data.keep(opened(shards), file)
    assert len(goes_on(shards, file, tmp_path)) == 6
    assert goes_on(f"{shards}/*.tar", file, tmp_path) is None
    assert goes_on(shards, file, tmp_path, "webdataset?caption=txt") is None
    assert data.open_kept("shapes/32", str(shards), "train", file) is None


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"no gzip",
        gzip.compress(b""),
        gzip.compress(b'{"path": 1'),
    ],
    ids=["empty", "text", "no line", "no JSON"],
)
def test_a_damaged_file_of_shards_is_one_line(damaged, shards, tmp_path):
    file = tmp_path / "shards.jsonl.gz"
    file.write_bytes(damaged)
    with pytest.raises(UserError, match="delete it, and the shards are read again") as caught:
        data.open_kept("webdataset", str(shards), "train", file)
    assert "\n" not in str(caught.value)


def test_a_file_of_shards_that_is_cut_off_is_one_line(shards, tmp_path):
    file = tmp_path / "shards.jsonl.gz"
    data.keep(opened(shards), file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match="delete it, and the shards are read again"):
        goes_on(shards, file, tmp_path)
