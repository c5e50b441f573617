"""Muon makes all directions of a matrix equally long, at float32 precision on every device."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from jax.extend.core import Literal
from jaxprs import jaxprs_in_params

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


HIGHEST = (jax.lax.Precision.HIGHEST,) * 2


def products_of(jaxpr):
    """Every matrix product in a jaxpr, however deep."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from products_of(inner)


def as_on_a_tpu(function, x, honour_precision=True):
    """The function of x, with the products of a TPU: factors in bfloat16 unless HIGHEST is asked.

    Args:
        function: of one array.
        x: its argument.
        honour_precision: False: as if no product asked for a precision.
    """

    def evaluated(closed, arguments):
        jaxpr = closed.jaxpr
        names = [*jaxpr.constvars, *jaxpr.invars]
        values = dict(zip(names, [*closed.consts, *arguments], strict=True))

        def read(variable):
            return variable.val if isinstance(variable, Literal) else values[variable]

        for equation in jaxpr.eqns:
            inputs = [read(variable) for variable in equation.invars]
            if "jaxpr" in equation.params:
                outputs = evaluated(equation.params["jaxpr"], inputs)
            else:
                if equation.primitive.name == "dot_general" and not (
                    honour_precision and equation.params["precision"] == HIGHEST
                ):
                    inputs = [a.astype(jnp.bfloat16).astype(a.dtype) for a in inputs]
                outputs = equation.primitive.bind(*inputs, **equation.params)
                outputs = outputs if equation.primitive.multiple_results else [outputs]
            values |= zip(equation.outvars, outputs, strict=True)
        return [read(variable) for variable in jaxpr.outvars]

    (result,) = evaluated(jax.make_jaxpr(function)(x), [x])
    return result


def of_falling_spectrum():
    """f32[1152 128], singular values from 1 to 1e-4."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.normal(size=(n, 128)))[0] for n in (1152, 128))
    return jnp.asarray(u * np.geomspace(1, 1e-4, 128) @ v.T, jnp.float32)


def singular_values(matrix):
    return np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)


def by_optax(matrix):
    """The published iteration, on the matrix itself."""
    muon = optax.contrib.scale_by_muon(beta=0.0, nesterov=False)
    return muon.update(matrix, muon.init(matrix))[0]


def test_no_product_loses_precision_on_a_tpu_or_a_gpu():
    muon = scale_by_muon(Packing(PARAMS), MATRICES)
    packed = Packing(PARAMS).pack(PARAMS)
    jaxpr = jax.make_jaxpr(muon.update)(packed, muon.init(packed))
    products = list(products_of(jaxpr.jaxpr))
    assert len(products) == 19 * len(MATRICES)
    assert {product.params["precision"] for product in products} == {HIGHEST}


@pytest.mark.newest
def test_directions_stay_equally_long_with_a_tpu_s_products():
    matrix = of_falling_spectrum()
    exact = singular_values(orthogonalized(matrix))
    ours = singular_values(as_on_a_tpu(orthogonalized, matrix))
    assert ours.max() < 1.21
    np.testing.assert_allclose(ours, exact, atol=1e-3)
    # The smallest, 1e-4 of the largest, become 3.4445⁵ times as long beside the norm.
    expected = 1e-4 / np.linalg.norm(matrix) * 3.4445**5
    assert ours.min() == pytest.approx(expected, rel=0.01)
    # Without HIGHEST the products' rounding would blow up small directions; the iteration on the
    # matrix itself would only lose them.
    rounded = singular_values(as_on_a_tpu(orthogonalized, matrix, honour_precision=False))
    assert rounded.max() > 5
    of_optax = singular_values(as_on_a_tpu(by_optax, matrix))
    assert of_optax.max() < 1.3
    assert of_optax.min() < exact.min() / 10


@pytest.mark.newest
def test_it_is_optax_s_iteration():
    matrix = jax.random.normal(jax.random.key(4), (60, 24))
    np.testing.assert_allclose(orthogonalized(matrix), by_optax(matrix), atol=1e-5)


def test_it_is_the_published_iteration():
    matrix = jax.random.normal(jax.random.key(3), (5, 40))
    x = matrix / jnp.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    np.testing.assert_allclose(orthogonalized(matrix), x, atol=1e-5)


def test_a_gradient_of_nothing_moves_nothing():
    np.testing.assert_array_equal(orthogonalized(jnp.zeros((6, 3))), 0)


@pytest.mark.newest
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
