"""Rematerialisation takes less memory for more operations, and gives the same gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from models.model_toys import filled

from glide_jax.planning.compiling import MEMORY_SCHEDULER

BATCH = 16


def compiled(policy):
    """(params, batch, key) → (loss, gradients), compiled as on an accelerator: to save memory."""
    wide = (
        "stages.base.model.image_size=16",
        "stages.base.model.channel_mult=(1,)",
        "stages.base.model.attention_resolutions=(16,)",
    )
    experiment = tiny.experiment(*wide, f"stages.base.model.remat={policy}")
    stage = experiment.stages["base"]
    model = tiny.unet(experiment)
    loss = tiny.loss(model, stage)
    inputs = filled(model.shapes), batch(), jax.random.key(1)
    lowered = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(*inputs)
    return lowered.compile(compiler_options=MEMORY_SCHEDULER), inputs


def batch():
    rng = np.random.default_rng(0)
    return {
        "image": rng.standard_normal((BATCH, 16, 16, 3), np.float32),
        "tokens": rng.integers(0, 9, (BATCH, 6), np.int32),
        "mask": rng.random((BATCH, 6)) < 0.5,
        "index": np.arange(BATCH, dtype=np.int32),
        "t": rng.integers(0, 1000, BATCH, np.int32),
        "t_weight": np.ones(BATCH, np.float32),
    }


@pytest.fixture(scope="module")
def kept():
    return compiled("none")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["products", "blocks"])
def test_gradients_are_the_same_in_less_memory(policy, kept):
    plain, inputs = kept
    thrifty, _ = compiled(policy)
    (expected, _), expected_gradients = plain(*inputs)
    (value, _), gradients = thrifty(*inputs)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for path, gradient in expected_gradients.items():
        largest = float(jnp.abs(gradient).max())
        np.testing.assert_allclose(
            gradients[path], gradient, rtol=1e-4, atol=1e-5 * largest, err_msg=path
        )
    temporary, before = (c.memory_analysis().temp_size_in_bytes for c in (thrifty, plain))
    assert temporary < 0.9 * before
    operations, operations_before = (c.cost_analysis()["flops"] for c in (thrifty, plain))
    assert operations > operations_before


def test_blocks_keep_less_than_products():
    """The residuals of the backward pass, by their shapes alone."""
    small = batch()
    small["image"] = small["image"][:, ::2, ::2]
    sizes = {}
    for policy in ("none", "products", "blocks"):
        experiment = tiny.experiment(f"stages.base.model.remat={policy}")
        stage = experiment.stages["base"]
        model = tiny.unet(experiment)
        loss = tiny.loss(model, stage)

        def backward(params, loss=loss):
            return jax.vjp(lambda params: loss(params, small, jax.random.key(0))[0], params)[1]

        kept = jax.tree.leaves(jax.eval_shape(backward, model.shapes))
        sizes[policy] = sum(x.size * x.dtype.itemsize for x in kept)
    assert sizes["blocks"] < sizes["products"] < sizes["none"]
