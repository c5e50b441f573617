"""Muon moves matrices along all directions alike, and everything else as Adam does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from glide_jax.training import packing
from glide_jax.training.muon import orthogonalized, scale_by_muon
from glide_jax.training.packing import PACKED, Packing

PARAMS = {
    "conv.kernel": jax.random.normal(jax.random.key(0), (3, 3, 4, 8)),
    "linear.kernel": jax.random.normal(jax.random.key(1), (4, 6)),
    "token_embedding": jax.random.normal(jax.random.key(2), (10, 40)),
    "norm.scale": jnp.ones(4),
}
MATRICES = {"conv.kernel", "linear.kernel"}


@pytest.fixture
def packed(monkeypatch):
    """The linear's kernel and the norm are packed; the convolution and the embedding are not."""
    monkeypatch.setattr(packing, "_SMALL", 24)
    return Packing(PARAMS)


@pytest.mark.parametrize("shape", [(96, 16), (16, 96), (32, 32)], ids=str)
def test_the_directions_of_a_matrix_stay_and_their_lengths_become_alike(shape):
    rng = np.random.default_rng(0)
    smaller = min(shape)
    u, v = (np.linalg.qr(rng.normal(size=(n, smaller)))[0] for n in shape)
    singular = np.geomspace(1, 0.02, smaller)
    result = orthogonalized(jnp.asarray(u * singular @ v.T, jnp.float32))
    in_its_directions = u.T @ np.asarray(result) @ v
    lengths = np.diag(in_its_directions)
    np.testing.assert_allclose(in_its_directions - np.diag(lengths), 0, atol=1e-4)
    assert lengths.min() > 0.6
    assert lengths.max() < 1.3


def test_it_is_the_published_iteration():
    matrix = jax.random.normal(jax.random.key(3), (5, 40))
    x = matrix / jnp.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    np.testing.assert_allclose(orthogonalized(matrix), x, atol=1e-5)


def test_a_gradient_of_nothing_moves_nothing():
    np.testing.assert_array_equal(orthogonalized(jnp.zeros((6, 3))), 0)


def test_matrices_move_evenly_and_the_rest_by_a_third_of_adam(packed):
    muon, adam = scale_by_muon(packed, MATRICES), optax.scale_by_adam()
    state, adam_state = muon.init(packed.pack(PARAMS)), adam.init(PARAMS)
    assert set(state.momentum) == {"conv.kernel", PACKED}
    for i in range(3):
        grads = {
            path: jax.random.normal(jax.random.key(10 * i + k), x.shape)
            for k, (path, x) in enumerate(PARAMS.items())
        }
        updates, state = muon.update(packed.pack(grads), state)
        expected, adam_state = adam.update(grads, adam_state)
    by_path = packed.unpack(updates)
    for path in PARAMS.keys() - MATRICES:
        np.testing.assert_allclose(3 * by_path[path], expected[path], rtol=1e-5)
    for path in MATRICES:
        matrix = by_path[path].reshape(-1, by_path[path].shape[-1])
        lengths = np.linalg.svd(matrix, compute_uv=False) / (0.2 * max(matrix.shape) ** 0.5)
        assert 0.6 < lengths.min() < lengths.max() < 1.3
