"""What computes attention on each platform; and that every model asks `kernels`."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from glide_jax.config import ClipConfig, ClipImageConfig, ClipTextConfig
from glide_jax.models import kernels
from glide_jax.models.attention_pool import AttentionPool
from glide_jax.models.clip import clip
from glide_jax.models.cpu import attention as cpu_attention
from glide_jax.models.families import model_of
from glide_jax.models.platforms import abstract_device, platform_of
from glide_jax.models.pure import Pure
from glide_jax.parallel.mesh import batch_sharding, make_mesh
from glide_jax.types import Condition

CLIP = ClipConfig(
    family="clip",
    image=ClipImageConfig(
        image_size=8, patch_size=4, width=16, layers=1, heads=2, num_timesteps=10
    ),
    text=ClipTextConfig(width=16, layers=1, heads=2),
    embedding_width=8,
    logit_scale=100.0,
    dtype="bfloat16",
)


@pytest.fixture
def chosen(monkeypatch):
    """The implementations that were asked for, in order; XLA computes all of them."""
    names = []
    compute = jax.nn.dot_product_attention

    def spy(*args, implementation, **rest):
        names.append(implementation)
        return compute(*args, **rest)

    monkeypatch.setattr(jax.nn, "dot_product_attention", spy)
    return names


def on(platform, monkeypatch, *, flash=True):
    monkeypatch.setattr(kernels, "platform_of", lambda x: platform)
    monkeypatch.setattr(kernels, "has_flash", lambda: flash)


@pytest.mark.parametrize(
    ("platform", "dtype", "head_channels", "flash", "expected"),
    [
        ("gpu", "bfloat16", 64, True, "cudnn"),
        ("gpu", "float16", 128, True, "cudnn"),
        ("gpu", "bfloat16", 8, True, "cudnn"),
        ("gpu", "float32", 64, True, "xla"),
        ("gpu", "bfloat16", 12, True, "xla"),
        ("gpu", "bfloat16", 136, True, "xla"),
        ("gpu", "bfloat16", 64, False, "xla"),
        ("tpu", "bfloat16", 64, True, "xla"),
    ],
)
def test_flash_attention_is_used_where_it_can_be(
    platform, dtype, head_channels, flash, expected, chosen, monkeypatch
):
    on(platform, monkeypatch, flash=flash)
    query = jnp.ones((1, 2, 1, head_channels), dtype)
    assert kernels.attention(query, query, query).dtype == dtype
    assert chosen == [expected]


def test_an_array_knows_its_mesh_while_it_is_traced(monkeypatch):
    """Where it lies counts, and JAX's own platform only for what lies on no mesh."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    seen = []

    @jax.jit
    def look(x):
        jax.lax.scan(
            lambda carry, _: (carry, seen.append(platform_of(carry))), x * 2, jnp.arange(2)
        )
        jax.grad(lambda y: (seen.append(platform_of(y)), y.sum())[1])(x)
        return x

    look(jax.device_put(jnp.ones(8), batch_sharding(make_mesh(fsdp=1))))
    assert set(seen) == {"cpu"}
    seen.clear()
    look(jnp.ones(8))
    assert set(seen) == {"gpu"}


def test_a_mesh_of_gpus_is_known_by_a_process_that_has_none(chosen, monkeypatch):
    monkeypatch.setattr(kernels, "has_flash", lambda: True)
    device = abstract_device("gpu")
    mesh = AbstractMesh((2,), ("data",), (AxisType.Auto,), abstract_device=device)
    split = NamedSharding(mesh, PartitionSpec("data"))
    query = jax.ShapeDtypeStruct((2, 4, 1, 64), jnp.bfloat16, sharding=split)
    jax.eval_shape(kernels.attention, query, query, query)
    assert chosen == ["cudnn"]


def test_a_process_without_a_gpu_has_no_flash_attention():
    assert not kernels.has_flash()


@pytest.mark.parametrize(
    ("platform", "version", "capability", "expected"),
    [
        ("gpu", "cuda 12090", "8.0", True),
        ("gpu", "cuda 12090", "10.3", True),
        ("gpu", "cuda 12090", "7.5", False),
        ("gpu", "rocm 60300", "", False),
        ("tpu", "libtpu", "", False),
    ],
)
def test_gpus_of_ampere_and_younger_have_it(platform, version, capability, expected, monkeypatch):
    client = types.SimpleNamespace(platform_version=version)
    device = types.SimpleNamespace(platform=platform, client=client, compute_capability=capability)
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    assert kernels.has_flash() == expected


@pytest.mark.parametrize("large", [1, 10**9], ids=["one head after the other", "all at once"])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_cpu_computes_the_same(large, is_causal, dtype, chosen, monkeypatch):
    monkeypatch.setattr(cpu_attention, "LARGE", large)
    query, keys, values = jax.random.normal(jax.random.key(0), (3, 2, 5, 3, 8)).astype(dtype)
    expected = jax.nn.dot_product_attention(
        query, keys, values, is_causal=is_causal, implementation="xla"
    )
    chosen.clear()
    found = kernels.attention(query, keys, values, is_causal=is_causal)
    assert found.dtype == dtype
    assert chosen == []
    tolerance = 1e-6 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(*(x.astype("float32") for x in (found, expected)), atol=tolerance)


@pytest.mark.parametrize("large", [1, 10**9], ids=["one head after the other", "all at once"])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("batch_of_bias", [1, 2])
def test_mask_bias_and_scale_are_the_same_on_each_platform(
    large, is_causal, batch_of_bias, monkeypatch
):
    """And equal to the definition, but for a query without keys, which is finite."""
    monkeypatch.setattr(cpu_attention, "LARGE", large)
    query, keys, values = jax.random.normal(jax.random.key(0), (3, 2, 5, 3, 8))
    bias = jax.random.normal(jax.random.key(1), (batch_of_bias, 3, 5, 5))
    mask = jnp.array([[True, False, True, True, False], [True] * 5])
    more = {"is_causal": is_causal, "mask": mask, "bias": bias, "scale": 0.7}
    on_cpu = kernels.attention(query, keys, values, **more)
    monkeypatch.setattr(kernels, "platform_of", lambda x: "tpu")
    elsewhere = kernels.attention(query, keys, values, **more)
    np.testing.assert_allclose(on_cpu, elsewhere, atol=1e-6)

    scores = 0.7 * np.einsum("bnhd,bmhd->bhnm", query, keys) + np.asarray(bias)
    seen = np.broadcast_to(mask[:, None, None], scores.shape)
    scores = np.where(seen & np.tri(5, dtype=bool) if is_causal else seen, scores, -np.inf)
    weights = np.exp(scores)
    weights /= weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(on_cpu, np.einsum("bhnm,bmhd->bnhd", weights, values), atol=1e-5)


def test_a_masked_key_counts_for_nothing():
    query, keys, values = jax.random.normal(jax.random.key(0), (3, 2, 4, 2, 8))
    mask = jnp.array([[True, True, False, True]] * 2)
    found = kernels.attention(query, keys, values, mask=mask)
    changed = kernels.attention(query, keys.at[:, 2].set(9), values.at[:, 2].set(1e6), mask=mask)
    np.testing.assert_array_equal(found, changed)
    kept = jnp.array([0, 1, 3])
    without = kernels.attention(query, keys[:, kept], values[:, kept])
    np.testing.assert_allclose(found, without, atol=1e-6)


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_where_no_key_is_left_the_result_is_finite(platform, monkeypatch):
    monkeypatch.setattr(kernels, "platform_of", lambda x: platform)
    query, keys, values = jax.random.normal(jax.random.key(0), (3, 1, 4, 2, 8))
    found = kernels.attention(query, keys, values, mask=jnp.zeros((1, 4), bool))
    np.testing.assert_allclose(
        found, jnp.broadcast_to(values.mean(1, keepdims=True), found.shape), atol=1e-6
    )


@pytest.mark.parametrize(
    "more", [{"mask": jnp.ones((1, 2), bool)}, {"bias": jnp.ones((1, 1, 2, 2))}]
)
def test_flash_attention_is_not_asked_for_masks_and_biases(more, chosen, monkeypatch):
    on("gpu", monkeypatch)
    query = jnp.ones((1, 2, 1, 64), "bfloat16")
    assert kernels.attention(query, query, query, **more).dtype == query.dtype
    assert chosen == ["xla"]


def test_causal_attention_sees_no_later_key():
    query, keys, values = jax.random.normal(jax.random.key(0), (3, 1, 4, 2, 8))
    whole = kernels.attention(query, keys, values, is_causal=True)
    np.testing.assert_allclose(whole[:, 0], values[:, 0], rtol=1e-6)
    changed = kernels.attention(query, keys, values.at[:, 3].set(7), is_causal=True)
    np.testing.assert_array_equal(whole[:, :3], changed[:, :3])


def test_every_model_asks_in_the_one_place(chosen, monkeypatch):
    on("gpu", monkeypatch)
    changes = ("dtype=bfloat16", "text_width=32", "attention_resolutions=(8,)")
    changed = tiny.experiment(*(f"stages.base.model.{change}" for change in changes))
    model = model_of(changed.stages["base"], vocab_size=300, text_length=6)
    condition = Condition(tokens=jnp.zeros((1, 6), int), mask=jnp.ones((1, 6), bool))
    encoded = jax.eval_shape(model.encode, model.shapes, condition)
    x_t = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    t = jax.ShapeDtypeStruct((1,), jnp.int32)
    jax.eval_shape(model.apply, model.shapes, x_t, t, encoded)
    assert set(chosen) == {"cudnn"}
    assert len(chosen) > 2
    chosen.clear()
    pool = Pure(lambda rngs: AttentionPool(16, 4, 2, 8, rngs))
    jax.eval_shape(lambda params, x: pool.bind(params)(x), pool.shapes, jnp.ones((1, 2, 2, 16)))
    assert chosen == ["xla"], "it computes in float32"
    chosen.clear()
    encoder = clip(CLIP, vocab_size=40, text_length=6)
    tokens, mask = jnp.zeros((1, 6), int), jnp.ones((1, 6), bool)
    jax.eval_shape(encoder.encode_text, encoder.shapes, tokens, mask)
    jax.eval_shape(encoder.encode_image, encoder.shapes, jnp.ones((1, 8, 8, 3)), t)
    assert chosen == ["cudnn"] * 2
