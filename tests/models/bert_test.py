"""BERT's encoder: padding, dtype and devices. What it computes is tested in encoders/."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glide_jax.models.bert import BertConfig, bert
from glide_jax.parallel.mesh import batch_sharding, make_mesh, weight_sharding

CONFIG = BertConfig(
    vocab_size=40, width=24, layers=2, heads=3, mlp_width=32, positions=9, token_types=2
)


@pytest.fixture(scope="module")
def model():
    """(encoder, params)."""
    encoder = bert(CONFIG, dtype="float32")
    return encoder, jax.jit(encoder.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def captions():
    """(tokens, mask) of eight captions of various lengths."""
    tokens = jax.random.randint(jax.random.key(1), (8, 7), 1, CONFIG.vocab_size)
    return tokens, jnp.arange(7)[None] < jnp.arange(1, 9)[:, None].clip(max=7)


@pytest.mark.newest
def test_what_is_padded_changes_nothing(model, captions):
    encoder, params = model
    tokens, mask = captions
    apply = jax.jit(encoder.apply)
    found, changed = (apply(params, t, mask) for t in (tokens, jnp.where(mask, tokens, 3)))
    assert not mask.all()
    np.testing.assert_array_equal(found[mask], changed[mask])
    longer = apply(params, jnp.pad(tokens, ((0, 0), (0, 2))), jnp.pad(mask, ((0, 0), (0, 2))))
    np.testing.assert_allclose(longer[:, :7][mask], found[mask], atol=1e-5)


@pytest.mark.newest
def test_bfloat16_stays_near(model, captions):
    _, params = model
    half = bert(CONFIG, dtype="bfloat16")
    assert {s.dtype for s in half.shapes.values()} == {jnp.dtype("bfloat16")}
    cast = {path: p.astype(jnp.bfloat16) for path, p in params.items()}
    found, expected = half.apply(cast, *captions), model[0].apply(params, *captions)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), expected, atol=0.05)


def test_split_over_devices_it_is_the_same(model, captions, monkeypatch):
    monkeypatch.setattr("glide_jax.parallel.mesh.SMALL", 0)
    encoder, params = model
    mesh = make_mesh(fsdp=4)
    sharding = weight_sharding(mesh, encoder.shapes)
    placed = {k: jax.device_put(v, sharding[k]) for k, v in params.items()}
    kernel = placed["blocks.0.mlp_in.kernel"]
    assert kernel.addressable_shards[0].data.size == kernel.size // 4
    rows = (jax.device_put(x, batch_sharding(mesh)) for x in captions)
    found = jax.jit(encoder.apply)(placed, *rows)
    np.testing.assert_allclose(found, encoder.apply(params, *captions), atol=1e-5)


def test_more_tokens_than_positions(model):
    encoder, params = model
    with pytest.raises(ValueError, match="10 tokens, and 9 positions"):
        encoder.apply(params, jnp.ones((1, 10), int), jnp.ones((1, 10), bool))
