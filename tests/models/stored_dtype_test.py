"""Weights that are stored in bfloat16 mean what they mean in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from golden.load import load
from imagen_toys import CONFIG
from model_toys import filled

from glide_jax.models.imagen import imagen
from glide_jax.models.pure import Pure
from glide_jax.types import Condition

RNG = np.random.default_rng(0)
X_T = RNG.standard_normal((2, 8, 8, 3)).astype(np.float32)
T = np.array([10, 900], np.int32)
TEXT = jnp.asarray(RNG.standard_normal((2, 6, 24)), jnp.float32)
MASK = jnp.asarray([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], bool)
MODEL = imagen(CONFIG, learn_variance=False)
STORED = {path: x.astype(jnp.bfloat16) for path, x in filled(MODEL.shapes).items()}


def encoded(params):
    return MODEL.encode(params, Condition(text_embedding=TEXT, mask=MASK))


def test_a_module_s_weights_are_of_its_own_dtype_and_as_they_are_stored():
    class Pair(nnx.Module):
        def __init__(self, rngs):
            self.wide = nnx.Param(jnp.zeros(3))
            self.narrow = nnx.Param(jnp.zeros(3, jnp.bfloat16))

    stored = {name: jnp.asarray([0.1, 2, -7e8], jnp.bfloat16) for name in ("wide", "narrow")}
    module = Pure(Pair).bind(stored)
    assert (module.wide[...].dtype, module.narrow[...].dtype) == (jnp.float32, jnp.bfloat16)
    np.testing.assert_array_equal(module.wide[...], stored["wide"].astype(jnp.float32))


@pytest.mark.slow
def test_a_prepared_model_computes_what_it_computes_of_the_same_numbers_in_float32():
    def run(params):
        condition = encoded(params)
        prepared = MODEL.prepare(params, X_T, T, condition)
        return MODEL.apply(params | prepared, X_T, T, condition)

    run = jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})
    found = run(STORED)
    exact = run({path: jnp.asarray(x, jnp.float32) for path, x in STORED.items()})
    assert found.dtype == exact.dtype
    np.testing.assert_allclose(found, exact, atol=2e-4)


@pytest.mark.newest
@pytest.mark.parametrize("name", ["tiny_clip_text", "tiny_adm_classifier"])
def test_a_guide_s_output_keeps_its_dtype(name):
    _, _, model, _ = load(name)
    params = {k: jax.ShapeDtypeStruct(s.shape, jnp.bfloat16) for k, s in model.shapes.items()}
    if name == "tiny_clip_text":
        inputs = (np.zeros((1, model.text_length), np.int32), np.ones((1, model.text_length), bool))
    else:
        size = model.config.image_size
        inputs = (np.zeros((1, size, size, 3), np.float32), np.zeros(1, np.int32))
    assert jax.eval_shape(model.apply, params, *inputs).dtype == jnp.float32


def test_weights_are_not_cast_to_a_wider_dtype_for_a_whole_loop():
    prepared = jax.eval_shape(lambda p: MODEL.prepare(p, X_T, T, encoded(p)), STORED)
    assert not prepared.keys() & STORED.keys()
    assert all(x.dtype == jnp.float32 for x in prepared.values()), "Winograd's are in float32"
