"""Files of weights: read and written bit for bit; no code is run, nothing is half-written."""

import contextlib
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from refusals import refused

from glide_jax.interop import files

FORMATS = ["pt", "safetensors"]
ARRAYS = {
    "a.weight": np.random.default_rng(0).standard_normal((7, 5, 3)).astype(np.float32),
    "a.bias": np.array([0.0, -0.0, 1e-42, 3.0, 65504.0], np.float32),
    "scalar": np.float32(0.1).reshape(()),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.fixture(autouse=True)
def torch_where_it_is_needed(request):
    values = getattr(request.node, "callspec", None)
    if values is not None and values.params.get("format_") == "pt":
        pytest.importorskip("torch")


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("dtype", files.DTYPES)
def test_what_is_written_is_read(tmp_path, format_, dtype):
    path = tmp_path / f"weights.{format_}"
    files.write(path, ARRAYS, dtype)
    back = files.read(path)
    assert back.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        expected = array.astype(files.DTYPES[dtype])
        assert (back[key].dtype, back[key].shape) == (expected.dtype, expected.shape)
        assert back[key].tobytes() == expected.tobytes()
    assert os.listdir(tmp_path) == [path.name]
    (tmp_path / "any").touch()
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode


@pytest.mark.parametrize("format_", FORMATS)
def test_arrays_that_are_views_or_read_only_are_written(tmp_path, format_):
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    fixed = np.ones(3, np.float32)
    fixed.flags.writeable = False
    files.write(tmp_path / f"w.{format_}", {"turned": turned, "fixed": fixed}, "float32")
    back = files.read(tmp_path / f"w.{format_}")
    np.testing.assert_array_equal(back["turned"], turned)
    np.testing.assert_array_equal(back["fixed"], fixed)


@pytest.mark.parametrize("format_", FORMATS)
def test_arrays_that_come_one_after_the_other_are_the_same_file_in_any_order(tmp_path, format_):
    files.write(tmp_path / f"all.{format_}", ARRAYS, "float32")
    shapes = {key: array.shape for key, array in ARRAYS.items()}
    each = reversed(list(ARRAYS.items()))
    files.write_each(tmp_path / f"each.{format_}", shapes, each, "float32")
    expected, found = (files.read(tmp_path / f"{name}.{format_}") for name in ("all", "each"))
    assert expected.keys() == found.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, strict=True)
    if format_ == "safetensors":
        written = [(tmp_path / f"{name}.{format_}").read_bytes() for name in ("all", "each")]
        assert written[0] == written[1]


def test_an_incomplete_file_is_not_left(tmp_path):
    some = list(ARRAYS.items())[:-1]
    shapes = {key: array.shape for key, array in ARRAYS.items()}
    with pytest.raises(ValueError, match="no "):
        files.write_each(tmp_path / "w.safetensors", shapes, some, "float32")
    assert not os.listdir(tmp_path)


def test_pytorch_reads_what_is_written(tmp_path):
    torch = pytest.importorskip("torch")
    for dtype in files.DTYPES:
        files.write(tmp_path / "w.pt", ARRAYS, dtype)
        read = torch.load(tmp_path / "w.pt", weights_only=True)
        for key, array in ARRAYS.items():
            assert read[key].dtype == getattr(torch, dtype)
            expected = torch.from_numpy(np.array(array)).to(getattr(torch, dtype))
            assert torch.equal(read[key], expected)


def test_pytorch_s_older_files_parameters_and_half_precision_are_read(tmp_path):
    torch = pytest.importorskip("torch")
    values = torch.arange(6.0).reshape(2, 3)
    kept = {"p": torch.nn.Parameter(values), "h": values.half(), "b": values.bfloat16().T}
    for is_zip in (True, False):
        torch.save(kept, tmp_path / "w.pt", _use_new_zipfile_serialization=is_zip)
        read = files.read(tmp_path / "w.pt")
        np.testing.assert_array_equal(read["p"], values.numpy())
        np.testing.assert_array_equal(read["h"], values.numpy().astype(np.float16))
        np.testing.assert_array_equal(read["b"].astype(np.float32), values.numpy().T)


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("kind", ["zip", "old", "pickle"])
def test_a_pickle_bomb_does_not_go_off(tmp_path, kind):
    torch = pytest.importorskip("torch")
    path, crater = tmp_path / "bomb.pt", tmp_path / "crater"
    content = {"a.weight": Bomb(crater)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    refused(lambda: files.read(path), "bomb.pt", "no code in it was run")
    assert not crater.exists()
    pickle.loads(pickle.dumps(content))
    assert crater.exists(), "the bomb is a dud"


@pytest.mark.parametrize("format_", FORMATS)
def test_a_file_cut_anywhere_is_one_line(tmp_path, format_):
    complete = tmp_path / f"complete.{format_}"
    files.write(complete, ARRAYS, "float32")
    content = complete.read_bytes()
    path = tmp_path / f"cut.{format_}"
    for length in (0, 1, 9, 100, len(content) // 2, len(content) - 100, len(content) - 1):
        path.write_bytes(content[:length])
        refused(lambda: files.read(path), f"cut.{format_}")


@pytest.mark.parametrize("format_", FORMATS)
def test_a_wrong_ending_is_refused(tmp_path, format_):
    pytest.importorskip("torch")
    (other,) = set(FORMATS) - {format_}
    files.write(tmp_path / f"w.{format_}", ARRAYS, "float32")
    wrong = (tmp_path / f"w.{format_}").rename(tmp_path / f"w.{other}")
    refused(lambda: files.read(wrong), f"w.{other}")
    odd = wrong.rename(tmp_path / "w.onnx")
    refused(lambda: files.read(odd), "w.onnx", ".pt, .pth, .ckpt, .bin or .safetensors")
    refused(lambda: files.write(odd, ARRAYS, "float32"), "w.onnx", ".pt or .safetensors")
    refused(lambda: files.write(tmp_path / "x.ckpt", ARRAYS, "float32"), "x.ckpt")
    refused(lambda: files.read(tmp_path / "none.pt"), "no file")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("number", "'step' is a int"),
        ("nested", "'weights' is a dict"),
        ("tensor", "not tensors by name"),
        ("list", "not tensors by name"),
        ("sparse", "not a dense array"),
        ("integers", "a is int64"),
    ],
)
def test_a_pt_of_something_else_is_one_line(tmp_path, name, word):
    torch = pytest.importorskip("torch")
    ones = torch.ones(3)
    content = {
        "number": {"a": ones, "step": 3},
        "nested": {"weights": {"a": ones}},
        "tensor": ones,
        "list": [ones],
        "sparse": {"a": ones.to_sparse()},
        "integers": {"a": ones.long()},
    }[name]
    torch.save(content, tmp_path / "w.pt")
    refused(lambda: files.read(tmp_path / "w.pt"), "w.pt", word)


@pytest.mark.parametrize("format_", FORMATS)
def test_what_overflows_half_precision_is_named_and_nothing_is_written(tmp_path, format_):
    arrays = ARRAYS | {"big.weight": np.array([1.0, -70000.0], np.float32)}
    path = tmp_path / f"w.{format_}"
    refused(lambda: files.write(path, arrays, "float16"), "big.weight", "70000", "--dtype")
    assert os.listdir(tmp_path) == []
    files.write(path, arrays, "bfloat16")
    files.write(path, {"nan": np.array([np.nan, np.inf], np.float32)}, "float16")


@pytest.mark.parametrize("format_", FORMATS)
def test_a_failed_write_leaves_what_was_there(tmp_path, format_, monkeypatch):
    path = tmp_path / f"w.{format_}"
    files.write(path, ARRAYS, "float32")
    before = path.read_bytes()

    def fails(part, shapes, arrays, dtype):
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(files._WRITERS, f".{format_}", fails)
    refused(lambda: files.write(path, ARRAYS, "float32"), "No space left")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_where_nothing_can_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "w.safetensors"
    refused(lambda: files.write(target, ARRAYS, "float32"), "can't write")


def test_a_folder_beside_is_gone_whatever_happens(tmp_path):
    target = tmp_path / "new"
    with files.folder_beside(target) as part:
        (part / "inside").write_text("x")
        part.rename(target)
    assert os.listdir(tmp_path) == ["new"]
    with contextlib.suppress(KeyboardInterrupt), files.folder_beside(tmp_path / "other") as part:
        (part / "inside").write_text("x")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["new"]


def test_safetensors_and_all_of_interop_need_no_pytorch(tmp_path):
    files.write(tmp_path / "w.safetensors", ARRAYS, "float32")
    program = f"""
import sys
sys.modules["torch"] = None
from glide_jax.errors import UserError
from glide_jax.interop import files, importing, exporting, info
assert "matplotlib" not in sys.modules
assert len(files.read({str(tmp_path / "w.safetensors")!r})) == {len(ARRAYS)}
open({str(tmp_path / "w.pt")!r}, "wb").close()
try:
    files.read({str(tmp_path / "w.pt")!r})
except UserError as error:
    assert "glide_jax[torch]" in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True)
