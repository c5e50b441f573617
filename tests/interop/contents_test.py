"""What kind of file it is, and whether it is damaged, without executing it."""

import gzip
import io
import pickle
import zipfile

import pytest

from glide_jax.interop.contents import integrity_error


def checkpoint(**entries):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, content in entries.items():
            # Of one date: the bytes are in the tests' names, and each worker makes them.
            archive.writestr(zipfile.ZipInfo("archive/" + name.replace("_", ".")), content)
    return memory.getvalue()


GOOD = checkpoint(data_pkl=b"p" * 1000, weight=b"w" * 1000)
PACKED = gzip.compress(b"words", mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.pt", GOOD, ""),
        ("a.pt", GOOD.replace(b"www", b"wxw", 1), "archive/weight in it is damaged"),
        ("a.pt", GOOD[:-1], "cut off"),
        ("a.pt", checkpoint(readme=b"hello"), "not a PyTorch checkpoint"),
        ("a.pt", b"", "not a PyTorch checkpoint"),
        ("a.pt", PACKED, "not a PyTorch checkpoint"),
        ("a.gz", PACKED, ""),
        ("a.gz", PACKED[:-1], "cut off"),
        ("a.gz", GOOD, "not a gzip file"),
        ("a.txt", b"anything", ""),
        ("a.txt", b" <?xml", "web page"),
    ],
)
def test_kind_and_damage_are_found(tmp_path, name, content, reason):
    path = tmp_path / "file"
    path.write_bytes(content)
    found = integrity_error(path, name, None, "")
    assert reason in found
    assert bool(reason) == bool(found)


def test_torchs_old_format_is_taken(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + b"more")
    assert integrity_error(path, path.name, None, "") == ""


@pytest.mark.parametrize("as_zip", [True, False])
def test_both_formats_of_torch_are_taken(tmp_path, as_zip):
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.pt"
    state_dict = {"weight": torch.ones(3)}
    torch.save(state_dict, path, _use_new_zipfile_serialization=as_zip)
    assert integrity_error(path, path.name, None, "") == ""


def test_the_right_digest_does_not_make_another_kind_of_file_right(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(b"hello")
    assert integrity_error(path, path.name, 5, "md5:5d41402abc4b2a76b9719d911017c592")
    assert not integrity_error(path, "a.txt", 5, "md5:5d41402abc4b2a76b9719d911017c592")
