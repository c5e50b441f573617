"""T5's encoder: the public reference's figures, and what must hold of any weights."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.formula import weight
from golden.load import HERE

from glide_jax.encoders.t5 import config_of, table
from glide_jax.interop import tables
from glide_jax.models.t5 import relative_buckets, t5
from glide_jax.parallel.mesh import batch_sharding, make_mesh, weight_sharding

NAMES = ("t5_v1_1_tiny", "t5_original_tiny")


def golden(name, dtype="float32"):
    """(encoder, params) of one of the golden models."""
    manifest = json.loads((HERE / f"{name}.manifest.json").read_text())
    encoder = t5(config_of(manifest["options"]), dtype=dtype)
    rules = tables.rules(table(encoder.config))
    params = {}
    for path, shape in encoder.shapes.items():
        (key,), rule = tables.match(path, rules)
        array = rule.from_torch(weight(key, tuple(manifest["state_dict"][key])))
        params[path] = jnp.asarray(array, shape.dtype)
    return encoder, params


def figures(file):
    arrays = np.load(HERE / f"{file}.npz")
    tokens = jnp.asarray(arrays["input_ids"], jnp.int32)
    return arrays, tokens, jnp.asarray(arrays["attention_mask"] == 1)


@pytest.mark.parametrize("length", ["", "_long"])
@pytest.mark.parametrize("name", NAMES)
def test_hidden_states_are_the_references(name, length):
    encoder, params = golden(name)
    arrays, tokens, mask = figures(name + length)
    found = jax.jit(encoder.apply)(params, tokens, mask)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, arrays["last_hidden_state"], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_stays_near(name):
    encoder, params = golden(name, "bfloat16")
    arrays, tokens, mask = figures(name)
    found = jax.jit(encoder.apply)(params, tokens, mask)
    assert found.dtype == jnp.bfloat16
    expected = arrays["last_hidden_state"]
    error = np.abs(np.asarray(found, np.float32) - expected)
    assert error.mean() < 0.02 * np.abs(expected).mean()


def test_relative_buckets_are_the_references():
    arrays = np.load(HERE / "t5_relative_buckets.npz")
    found = relative_buckets(arrays["key_minus_query"], 32, 128)
    np.testing.assert_array_equal(found, arrays["bucket"])


@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (8, 20), (64, 1000)])
def test_buckets_grow_with_the_distance_and_each_side_has_its_own(buckets, max_distance):
    far = 3 * max_distance
    apart = np.arange(-far, far + 1)
    found = relative_buckets(apart, buckets, max_distance)
    before, after = found[apart <= 0][::-1], found[apart > 0]
    assert (np.diff(before) >= 0).all()
    assert (np.diff(after) >= 0).all()
    np.testing.assert_array_equal(after, before[1:] + buckets // 2)
    assert set(found) <= set(range(buckets))
    assert before[-1] == buckets // 2 - 1 == before[max_distance]
    np.testing.assert_array_equal(before[: buckets // 4], np.arange(buckets // 4))


def test_what_is_padded_changes_nothing():
    encoder, params = golden("t5_v1_1_tiny")
    _, tokens, mask = figures("t5_v1_1_tiny")
    apply = jax.jit(encoder.apply)
    found, changed = (apply(params, t, mask) for t in (tokens, jnp.where(mask, tokens, 7)))
    assert not mask.all()
    np.testing.assert_array_equal(found[mask], changed[mask])
    longer = apply(params, jnp.pad(tokens, ((0, 0), (0, 9))), jnp.pad(mask, ((0, 0), (0, 9))))
    np.testing.assert_allclose(longer[:, :-9], found, atol=1e-5)


def test_float16_is_refused():
    encoder, _ = golden("t5_v1_1_tiny")
    with pytest.raises(ValueError, match="float16"):
        t5(encoder.config, dtype="float16")


@pytest.mark.parametrize("fsdp", [2, 8])
def test_split_over_devices_it_is_the_same(fsdp, monkeypatch):
    monkeypatch.setattr("glide_jax.parallel.mesh.SMALL", 0)
    encoder, params = golden("t5_v1_1_tiny")
    _, tokens, mask = figures("t5_v1_1_tiny")
    tokens, mask = jnp.tile(tokens[:2], (4, 1)), jnp.tile(mask[:2], (4, 1))
    expected = jax.jit(encoder.apply)(params, tokens, mask)
    mesh = make_mesh(fsdp=fsdp)
    sharding = weight_sharding(mesh, encoder.shapes)
    assert {len(s.spec) for s in sharding.values()} == {0, 2}
    placed = {k: jax.device_put(v, sharding[k]) for k, v in params.items()}
    kernel = placed["blocks.0.mlp_in.kernel"]
    assert kernel.addressable_shards[0].data.size == kernel.size // fsdp
    rows = (jax.device_put(x, batch_sharding(mesh)) for x in (tokens, mask))
    found = jax.jit(encoder.apply)(placed, *rows)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.skipif(
    jax.__version_info__ < (0, 12), reason="a CPU's compiler ignored barriers when it scheduled"
)
def test_few_blocks_weights_are_gathered_at_once(monkeypatch):
    """What a device needs beside its own part. Without the barrier it is more than all blocks."""
    monkeypatch.setattr("glide_jax.parallel.mesh.SMALL", 0)
    sizes = {"layers": 24, "width": 256, "heads": 8, "head_width": 32, "mlp_width": 1024}
    encoder = t5(dataclasses.replace(golden("t5_v1_1_tiny")[0].config, **sizes), dtype="float32")
    mesh = make_mesh(fsdp=8)
    sharding = weight_sharding(mesh, encoder.shapes)
    params = {
        path: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding[path])
        for path, s in encoder.shapes.items()
    }
    tokens, mask = (
        jax.ShapeDtypeStruct((32, 77), dtype, sharding=batch_sharding(mesh))
        for dtype in (jnp.int32, jnp.bool_)
    )
    program = jax.jit(encoder.apply).lower(params, tokens, mask).compile()
    block = 4 * sum(s.size for path, s in encoder.shapes.items() if path.startswith("blocks.0."))
    assert program.memory_analysis().temp_size_in_bytes < 5 * block


def test_published_sizes_are_split_but_for_norms_and_the_bias():
    """T5-XXL on eight devices: each holds an eighth of all that is large."""
    xxl = t5(
        dataclasses.replace(
            golden("t5_v1_1_tiny")[0].config,
            vocab_size=32128,
            width=4096,
            layers=24,
            heads=64,
            head_width=64,
            mlp_width=10240,
        ),
        dtype="bfloat16",
    )
    sharding = weight_sharding(make_mesh(fsdp=8), xxl.shapes)
    whole = sum(s.size for s in xxl.shapes.values())
    held = sum(
        np.prod(sharding[path].shard_shape(s.shape), dtype=int) for path, s in xxl.shapes.items()
    )
    assert whole == 4_762_310_656
    assert held < 1.001 * whole / 8
