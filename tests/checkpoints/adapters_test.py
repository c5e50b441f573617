"""Adapters' files, and the fingerprint that says what they belong to."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import tiny
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from glide_jax.checkpoints.adapters import (
    Adapter,
    AdapterFile,
    check_stages,
    read_adapter,
    with_adapters,
    write_adapter,
)
from glide_jax.checkpoints.fingerprint import weights_fingerprint
from glide_jax.config import AdapterConfig
from glide_jax.errors import UserError
from glide_jax.models import lora

PATH = "unet.proj.kernel"


def weights(seed=0):
    rng = np.random.default_rng(seed)
    return {
        PATH: jnp.asarray(rng.normal(size=(8, 16)), jnp.float32),
        "unet.norm.scale": jnp.asarray(rng.normal(size=16), jnp.float32),
    }


def adapter_of(params, seed=1):
    rng = np.random.default_rng(seed)
    arrays = {PATH + lora.A: rng.normal(size=(8, 2)), PATH + lora.B: rng.normal(size=(2, 16))}
    arrays = {name: x.astype(np.float32) for name, x in arrays.items()}
    settings = AdapterConfig(2, 3.0, ("attention", "text"))
    return Adapter("mine", "base", settings, weights_fingerprint(params), 7, arrays)


def test_a_file_is_read_as_it_was_written(tmp_path):
    written, path = adapter_of(weights()), tmp_path / "own" / "adapter.safetensors"
    write_adapter(path, written, tiny.experiment())
    read = read_adapter(path)
    for name, array in written.params.items():
        np.testing.assert_array_equal(read.params[name], array)
    assert dataclasses.replace(read, params={}, shown="") == dataclasses.replace(
        written, params={}, shown=""
    )
    assert read.scale == 1.5
    assert path.stat().st_size < 30_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no adapter"),
        (b"no such file", "not a complete .safetensors file"),
        (safetensors.numpy.save({"a": np.zeros(2)}), "holds no adapter"),
        (
            safetensors.numpy.save({"a": np.zeros(2)}, {"kind": "glide_jax adapter"}),
            "lacks what describes",
        ),
    ],
    ids=["absent", "damaged", "foreign", "stripped"],
)
def test_what_is_no_adapter_is_refused(tmp_path, content, message):
    path = tmp_path / "some.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_adapter(path)


def test_a_cut_file_is_refused(tmp_path):
    path = tmp_path / "adapter.safetensors"
    write_adapter(path, adapter_of(weights()), tiny.experiment())
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match="not a complete"):
        read_adapter(path)


@pytest.mark.parametrize(
    ("text", "path", "weight"),
    [
        ("a.safetensors", "a.safetensors", 1.0),
        ("a.safetensors:0.5", "a.safetensors", 0.5),
        ("a:b.safetensors:-2", "a:b.safetensors", -2.0),
        ("a:b", "a:b", 1.0),
        ("a:nan", "a:nan", 1.0),
    ],
)
def test_a_weight_follows_a_colon(text, path, weight):
    assert AdapterFile.parse(text) == AdapterFile(Path(path), weight)
    assert AdapterFile.parse(str(AdapterFile.parse(text))) == AdapterFile(Path(path), weight)


def test_a_url_is_refused():
    with pytest.raises(UserError, match="https://host"):
        AdapterFile.parse("https://host/adapter.safetensors:0.5")


def test_adapters_add_up():
    params = weights()
    one, other = adapter_of(params, 1), adapter_of(params, 2)
    both = with_adapters(params, [(one, 0.5), (other, -2.0)], "base")
    expected = np.asarray(params[PATH])
    for adapter, weight in ((one, 0.5), (other, -2.0)):
        a, b = adapter.params[PATH + lora.A], adapter.params[PATH + lora.B]
        expected = expected + weight * 1.5 * a @ b
    np.testing.assert_allclose(both[PATH], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(both["unet.norm.scale"], params["unet.norm.scale"])
    assert with_adapters(params, [], "base") is params


def test_an_adapter_of_other_weights_or_another_stage_is_refused():
    adapter = adapter_of(weights())
    with pytest.raises(UserError, match="mine is an adapter of other weights than runs/base"):
        with_adapters(weights(seed=5), [(adapter, 1.0)], "runs/base")
    with pytest.raises(UserError, match="of a stage 'base', and these models have upsampler"):
        check_stages([adapter], ["upsampler"])


def changed(kind):
    params = weights()
    kernel = np.array(params[PATH])
    if kind == "one value":
        kernel[3, 5] = np.nextafter(kernel[3, 5], 2)
    elif kind == "two values exchanged":
        kernel[0, 0], kernel[7, 15] = kernel[7, 15], kernel[0, 0]
    elif kind == "another shape":
        kernel = kernel.reshape(16, 8)
    name = "unet.qkv.kernel" if kind == "another name" else PATH
    return {name: jnp.asarray(kernel), "unet.norm.scale": params["unet.norm.scale"]}


KINDS = ["one value", "two values exchanged", "another shape", "another name"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_fingerprint_sees_every_change(kind):
    assert weights_fingerprint(changed("nothing")) == weights_fingerprint(weights())
    assert weights_fingerprint(changed(kind)) != weights_fingerprint(weights())


def test_the_fingerprint_is_the_same_however_weights_are_placed():
    params = weights()
    mesh = jax.make_mesh((2, 4), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)
    for spec in (PartitionSpec(), PartitionSpec("fsdp"), PartitionSpec(None, "fsdp")):
        placed = params | {PATH: jax.device_put(params[PATH], NamedSharding(mesh, spec))}
        assert weights_fingerprint(placed) == weights_fingerprint(params)


def test_the_fingerprint_is_of_values_not_of_how_they_are_stored():
    short = {path: x.astype(jnp.bfloat16) for path, x in weights().items()}
    long = {path: x.astype(jnp.float32) for path, x in short.items()}
    assert weights_fingerprint(short) == weights_fingerprint(long)
    assert weights_fingerprint(dict(reversed(long.items()))) == weights_fingerprint(long)
