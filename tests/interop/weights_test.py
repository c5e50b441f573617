"""Files and folders of weights are opened without being read, and read bit for bit."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from refusals import refused

from glide_jax.interop import weights
from glide_jax.interop.weights import open_weights

RNG = np.random.default_rng(0)
ARRAYS = {
    "a.weight": RNG.standard_normal((7, 5, 3)).astype(np.float32),
    "b.weight": RNG.standard_normal((4, 6)).astype(jnp.bfloat16),
    "c.weight": RNG.standard_normal((3, 2)).astype(np.float16),
    "ids": np.arange(10).reshape(1, 10),
    "scalar": np.array(0.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
}
SHARDS = {
    "model-00001-of-00002.safetensors": ("a.weight", "ids", "empty"),
    "model-00002-of-00002.safetensors": ("b.weight", "c.weight", "scalar"),
}
INDEX = "model.safetensors.index.json"


@pytest.fixture
def sharded(tmp_path):
    """A folder of two shards and their index."""
    for name, keys in SHARDS.items():
        safetensors.numpy.save_file({k: ARRAYS[k] for k in keys}, tmp_path / name)
    places = {key: name for name, keys in SHARDS.items() for key in keys}
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return tmp_path


def require_arrays(found, expected=ARRAYS):
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        lazy = found[key]
        assert (lazy.shape, lazy.dtype, lazy.size) == (array.shape, array.dtype, array.size)
        assert np.asarray(lazy).tobytes() == array.tobytes()
        if array.size:
            assert np.concatenate(list(lazy.pieces())).tobytes() == array.tobytes()


@pytest.mark.parametrize("piece", [1, 16, 2**24])
def test_one_file_or_shards_with_or_without_their_index(sharded, tmp_path, piece, monkeypatch):
    monkeypatch.setattr(weights, "PIECE_BYTES", piece)
    require_arrays(open_weights(sharded))
    require_arrays(open_weights(sharded / INDEX))
    (sharded / INDEX).unlink()
    require_arrays(open_weights(sharded))
    single = tmp_path / "one.safetensors"
    safetensors.numpy.save_file(ARRAYS, single)
    require_arrays(open_weights(single))


def test_pytorch_s_files_and_shards(tmp_path):
    torch = pytest.importorskip("torch")
    tensors = {
        "a": torch.arange(6.0).reshape(2, 3),
        "b": torch.ones(2, 2).bfloat16(),
        "embeddings.position_ids": torch.arange(5)[None],
    }
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.ones((2, 2), jnp.bfloat16),
        "embeddings.position_ids": np.arange(5)[None],
    }
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    require_arrays(open_weights(tmp_path), arrays)
    (tmp_path / "pytorch_model.bin").unlink()
    keys = [*tensors]
    for i, part in enumerate([keys[:1], keys[1:]], 1):
        torch.save({k: tensors[k] for k in part}, tmp_path / f"pytorch_model-0000{i}-of-00002.bin")
    require_arrays(open_weights(tmp_path), arrays)


def test_casting_reads_into_the_wanted_dtype(sharded):
    cast = np.asarray(open_weights(sharded)["a.weight"], dtype=jnp.bfloat16)
    np.testing.assert_array_equal(cast, ARRAYS["a.weight"].astype(jnp.bfloat16), strict=True)


def test_nothing_is_read_when_it_is_opened(sharded, monkeypatch):
    monkeypatch.setattr(np, "fromfile", None)
    assert len(open_weights(sharded)) == len(ARRAYS)


def test_prefixes_are_removed_from_the_model_and_not_from_a_shard(tmp_path):
    for i, key in enumerate(["model.a", "model.b"], 1):
        name = f"model-0000{i}-of-00002.safetensors"
        safetensors.numpy.save_file({key: np.ones(2, np.float32)}, tmp_path / name)
    assert open_weights(tmp_path).keys() == {"a", "b"}
    safetensors.numpy.save_file(
        {"other": np.ones(2, np.float32)}, tmp_path / "model-00001-of-00002.safetensors"
    )
    refused(lambda: open_weights(tmp_path), "begin with model. and others without")


@pytest.mark.parametrize("with_index", [True, False])
def test_a_missing_shard_is_named(sharded, with_index):
    (sharded / "model-00001-of-00002.safetensors").unlink()
    if not with_index:
        (sharded / INDEX).unlink()
    refused(lambda: open_weights(sharded), "model-00001-of-00002.safetensors", "1 of its 2 files")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"weight_map": []}', '{"weight_map": {"a": "../x.safetensors"}}']
)
def test_an_index_of_another_kind_is_refused(sharded, content):
    (sharded / INDEX).write_text(content)
    refused(lambda: open_weights(sharded), INDEX, "not an index of weights")


def test_a_shard_without_what_its_index_says_is_refused(sharded):
    name = "model-00001-of-00002.safetensors"
    safetensors.numpy.save_file({"a.weight": ARRAYS["a.weight"]}, sharded / name)
    refused(lambda: open_weights(sharded), name, "has no empty, ids", "its index")


def test_two_shards_with_the_same_key_are_refused(sharded):
    (sharded / INDEX).unlink()
    safetensors.numpy.save_file(ARRAYS, sharded / "model-00001-of-00002.safetensors")
    refused(lambda: open_weights(sharded), "b.weight", "in two of its files")


def test_a_file_that_is_cut_off_is_damaged(tmp_path):
    file = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(ARRAYS, file)
    for kept in (file.stat().st_size - 1, 100, 4, 0):
        with file.open("r+b") as opened:
            opened.truncate(kept)
        refused(lambda: open_weights(tmp_path), "model.safetensors", "not a complete .safetensors")


def test_a_file_that_shrinks_after_it_was_opened_is_refused(tmp_path):
    safetensors.numpy.save_file({"a": np.ones(100, np.float32)}, tmp_path / "model.safetensors")
    array = open_weights(tmp_path)["a"]
    with (tmp_path / "model.safetensors").open("r+b") as opened:
        opened.truncate(200)
    refused(lambda: np.asarray(array), "became shorter")


def test_a_folder_without_weights_and_one_with_too_many(tmp_path):
    refused(lambda: open_weights(tmp_path), "no weights in", "model.safetensors")
    refused(lambda: open_weights(tmp_path / "none"), "must end in")
    refused(lambda: open_weights(tmp_path / "no.safetensors"), "no file")
    safetensors.numpy.save_file(ARRAYS, tmp_path / "mine.safetensors")
    require_arrays(open_weights(tmp_path))
    safetensors.numpy.save_file(ARRAYS, tmp_path / "yours.safetensors")
    refused(lambda: open_weights(tmp_path), "mine.safetensors, yours.safetensors", "one of them")


def test_a_dtype_that_nothing_here_computes_in_is_named(tmp_path):
    header = {"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"ab")
    refused(lambda: open_weights(tmp_path), "a is F8_E4M3")
