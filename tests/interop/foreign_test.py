"""Checkpoints of other people's training code: imported where that is safe, refused by name."""

import sys

import numpy as np
import pytest
import safetensors.numpy
from interop_toys import load, refused_cleanly, same, trained, weights
from refusals import refused

from glide_jax.interop import files, foreign
from glide_jax.interop.exporting import export_checkpoint
from glide_jax.interop.importing import import_checkpoint

A, B = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
WEIGHTS = {"a.weight": A, "a.bias": B}


def prefixed(prefix, arrays=WEIGHTS):
    return {f"{prefix}{key}": array for key, array in arrays.items()}


def stored(path, arrays):
    """A file with just these arrays, whatever they are."""
    safetensors.numpy.save_file(arrays, path)
    return path


def saved(torch, path, content):
    """A file of torch.save; the arrays in the content become tensors."""

    def tensors(value):
        if isinstance(value, dict):
            return {key: tensors(child) for key, child in value.items()}
        return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value

    torch.save(tensors(content), path)
    return path


@pytest.mark.parametrize("prefix", [*foreign.PREFIXES, "module._orig_mod.", "ema_model.module."])
def test_a_prefix_of_all_keys_is_removed(tmp_path, prefix):
    same(files.read(stored(tmp_path / "w.safetensors", prefixed(prefix))), WEIGHTS)


def test_of_a_model_and_its_average_the_average_is_read(tmp_path):
    arrays = prefixed("online_model.", {key: -array for key, array in WEIGHTS.items()})
    arrays |= prefixed("ema_model.") | {"initted": np.array(True), "step": np.int64([7])}
    same(files.read(stored(tmp_path / "w.safetensors", arrays)), WEIGHTS)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (prefixed("module.") | {"b": B}, ["module. and others without"]),
        (prefixed("module.") | prefixed("ema_model."), ["ema_model., module."]),
        (prefixed("ema_model.") | {"b": B}, ["ema_model. and others without"]),
    ],
    ids=["some", "two", "rest"],
)
def test_several_models_in_one_state_dict_are_refused(tmp_path, arrays, words):
    path = stored(tmp_path / "w.safetensors", arrays)
    refused(lambda: files.read(path), "w.safetensors", "save one model's", *words)


@pytest.mark.parametrize(
    "counter", [np.int64(3), np.int32([3]), np.uint8([[1]]), np.array(True)], ids=str
)
def test_counters_are_left_out(tmp_path, counter):
    arrays = WEIGHTS | {"num_batches_tracked": np.asarray(counter)}
    same(files.read(stored(tmp_path / "w.safetensors", arrays)), WEIGHTS)


def test_other_integers_are_refused_by_name(tmp_path):
    path = stored(tmp_path / "w.safetensors", WEIGHTS | {"position_ids": np.arange(4)})
    refused(lambda: files.read(path), "position_ids is int64")


def test_a_file_of_counters_alone_is_nobody_s(tmp_path, small_releases):
    path = stored(tmp_path / "w.safetensors", {"step": np.int64([3])})
    refused(lambda: import_checkpoint([path], ["base"], tmp_path / "run"), "none at all")


def test_float64_becomes_float32(tmp_path, small_releases):
    arrays = {key: array.astype(np.float64) for key, array in load("tiny_base")[1].items()}
    path = stored(tmp_path / "w.safetensors", prefixed("module.", arrays))
    import_checkpoint([path], ["base"], tmp_path / "run")
    same(weights(tmp_path / "run"), load("tiny_base")[3])
    arrays["out.2.bias"] = np.full_like(arrays["out.2.bias"], 1e300)
    path = stored(tmp_path / "large.safetensors", arrays)
    refused_cleanly(
        lambda: import_checkpoint([path], ["base"], tmp_path / "x"),
        "out.2.bias",
        "finite in float32",
        folder=tmp_path,
    )


@pytest.mark.parametrize("wrapper", foreign.WRAPPERS)
def test_a_wrapped_state_dict_is_read(tmp_path, wrapper):
    torch = pytest.importorskip("torch")
    content = {wrapper: prefixed("module."), "epoch": 3, "optimizer": {"state": {0: {"step": B}}}}
    same(files.read(saved(torch, tmp_path / "w.pt", content)), WEIGHTS)


def test_several_wrapped_state_dicts_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    path = saved(torch, tmp_path / "w.pt", {"model": WEIGHTS, "ema": WEIGHTS})
    refused(lambda: files.read(path), "w.pt", "('model', 'ema')")


def test_what_is_wrapped_must_be_tensors_too(tmp_path):
    torch = pytest.importorskip("torch")
    path = saved(torch, tmp_path / "w.pt", {"state_dict": WEIGHTS | {"step": 3}})
    refused(lambda: files.read(path), "w.pt", "'step' is a int")


@pytest.mark.parametrize("ending", [".pth", ".ckpt", ".bin"])
def test_pytorch_s_other_endings_are_read(tmp_path, ending):
    torch = pytest.importorskip("torch")
    same(files.read(saved(torch, tmp_path / f"w{ending}", WEIGHTS)), WEIGHTS)


def test_an_export_without_pytorch_names_the_file_that_was_asked_for(tmp_path, monkeypatch):
    trained(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    out = tmp_path / "base.pt"
    message = refused_cleanly(lambda: export_checkpoint(tmp_path / "run", out), folder=tmp_path)
    assert message.startswith(f"{out}: .pt needs PyTorch")
    assert ".part" not in message
