"""Kernels transformed before a loop give what the loop computes from the kernels themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from models.model_toys import filled

from glide_jax.models.cpu import convolution, prepared_kernels
from glide_jax.planning.lowering import on_accelerator
from glide_jax.types import Condition

ROWS = 2


@pytest.fixture
def model(monkeypatch):
    """Its convolutions of 8×8 and 4×4 pixels are Winograd's, those of 2×2 are XLA's."""
    monkeypatch.setattr(
        convolution,
        "method",
        lambda shape, _: convolution.winograd if shape[1] > 2 else convolution.direct,
    )
    return tiny.unet(tiny.experiment(tiny.TWO_SIZES))


@pytest.fixture
def params(model):
    # No kernel is zero, as those are that a block begins from.
    return jax.tree.map(jnp.asarray, filled(model.shapes))


def arguments(model, params):
    condition = Condition(jnp.ones((ROWS, 6), jnp.int32), jnp.ones((ROWS, 6), bool))
    x_t = jax.random.normal(jax.random.key(1), (ROWS, 8, 8, 3))
    return x_t, jnp.array([3, 700]), model.encode(params, condition)


@pytest.mark.newest
def test_a_prepared_model_is_the_model(model, params):
    given = arguments(model, params)
    prepared = jax.jit(model.prepare)(params, *given)
    assert prepared
    assert not prepared.keys() & params.keys()
    apply = jax.jit(model.apply)
    ours, theirs = apply(params | prepared, *given), apply(params, *given)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.slow
def test_a_prepared_kernel_is_read_only_where_it_is_not_transformed(model, params):
    given = arguments(model, params)
    prepared, apply = jax.jit(model.prepare)(params, *given), jax.jit(model.apply)
    expected = apply(params, *given)
    for path in {path.rpartition(" winograd ")[0] for path in prepared}:
        lost = params | prepared | {path: jnp.full_like(params[path], jnp.nan)}
        np.testing.assert_allclose(apply(lost, *given), expected, rtol=1e-3, atol=1e-4)
    others = {path for path, s in model.shapes.items() if s.shape[:2] == (3, 3)}
    assert others - {path.rpartition(" winograd ")[0] for path in prepared}


@pytest.mark.newest
def test_another_batch_may_be_too_small_for_it(model, params, monkeypatch):
    given = arguments(model, params)
    prepared = jax.jit(model.prepare)(params, *given)
    expected = jax.jit(model.apply)(params, *given)
    monkeypatch.setattr(convolution, "method", lambda *_: convolution.direct)
    ours = jax.jit(model.apply)(params | prepared, *given)
    np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.newest
def test_no_kernel_is_transformed_for_an_accelerator_or_for_16_bits(model, params):
    x_t, t, encoded = jax.eval_shape(lambda: arguments(model, params))
    x_t = on_accelerator({"x_t": x_t})["x_t"]
    assert jax.eval_shape(model.prepare, params, x_t, t, encoded) == {}
    half = tiny.unet(tiny.experiment(tiny.TWO_SIZES, "stages.base.model.dtype=bfloat16"))
    given = arguments(half, params)
    prepared = jax.eval_shape(half.prepare, params, *given)
    transformed = [path for path in prepared if " winograd " in path]
    assert not any("blocks" in path for path in transformed)


def test_its_names_are_no_weight_s():
    assert prepared_kernels._name("a.b", 0) == "a.b.kernel winograd 0"


@pytest.mark.newest
def test_weights_are_cast_once_to_the_dtype_that_layers_compute_in():
    """bfloat16: the same bits, and the U-Net's float32 kernels are not read any more."""
    model = tiny.unet(tiny.experiment("stages.base.model.dtype=bfloat16"))
    params = jax.tree.map(jnp.asarray, filled(model.shapes))
    given = arguments(model, params)
    prepared = model.prepare(params, *given)
    cast = {path: x for path, x in prepared.items() if path in params}
    assert {x.dtype for x in cast.values()} == {jnp.dtype(jnp.bfloat16)}
    assert any(path.endswith(".bias") for path in prepared)
    expected = np.asarray(model.apply(params, *given), np.float32)
    found = np.asarray(model.apply(params | prepared, *given), np.float32)
    np.testing.assert_array_equal(found, expected)
    kernels = {p for p in model.shapes if p.startswith("unet.") and p.endswith(".kernel")}
    # These compute in float32.
    assert kernels - cast.keys() == {
        f"unet.{name}.kernel" for name in ("out_conv", "time_in", "time_out")
    }
