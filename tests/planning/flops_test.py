"""Operations are counted as XLA counts those of products, and as an accelerator takes them."""

import jax
import jax.numpy as jnp
import pytest
import tiny

from glide_jax.models import kernels
from glide_jax.planning import cost
from glide_jax.planning.flops import product_flops
from glide_jax.planning.jobs import planned_jobs


def counted(function, *given):
    return product_flops(jax.jit(function).trace(*given).jaxpr)


def convolved(x, kernel, **rest):
    return jax.lax.conv_general_dilated(
        x, kernel, padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), **rest
    )


KEY = jax.random.key(0)
A, B = jnp.ones((3, 5)), jnp.ones((5, 7))
IMAGE, KERNEL = jnp.ones((2, 8, 8, 6)), jnp.ones((3, 3, 6, 4))


def test_products_and_convolutions_are_counted():
    assert counted(jnp.matmul, A, B) == 2 * 3 * 5 * 7
    batched = jnp.ones((9, 3, 5)), jnp.ones((9, 5, 7))
    assert counted(jnp.matmul, *batched) == 2 * 9 * 3 * 5 * 7
    assert counted(lambda x, k: convolved(x, k, window_strides=(1, 1)), IMAGE, KERNEL) == (
        2 * 2 * 8 * 8 * 4 * 9 * 6
    )
    halved = counted(lambda x, k: convolved(x, k, window_strides=(2, 2)), IMAGE, KERNEL)
    assert halved == 2 * 2 * 4 * 4 * 4 * 9 * 6
    grouped = jnp.ones((3, 3, 2, 6))
    one = counted(
        lambda x, k: convolved(x, k, window_strides=(1, 1), feature_group_count=3), IMAGE, grouped
    )
    assert one == 2 * 2 * 8 * 8 * 6 * 9 * 2


def test_loops_branches_and_functions_are_looked_into():
    square, product = jnp.ones((4, 4)), 2 * 4**3

    def scanned(x):
        return jax.lax.scan(lambda c, _: (c @ c, None), x, length=5)[0]

    def branched(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, x)

    assert counted(scanned, square) == 5 * product
    assert counted(branched, square) == 2 * product
    assert counted(jax.checkpoint(jax.jit(lambda x: jnp.sin(x) @ x)), square) == product
    assert counted(jax.grad(lambda x: (x @ square).sum()), square) == 2 * product


@pytest.mark.newest
def test_gradients_of_a_model_take_three_forwards():
    experiment = tiny.experiment("stages.base.model.channels=32")
    stage = experiment.stages["base"]
    model = tiny.unet(experiment)
    (job,) = planned_jobs(experiment).stages
    key = jax.random.key(0)

    def gradients(params, batch):
        return jax.grad(lambda p: tiny.loss(model, stage)(p, batch, key)[0])(params)

    both = counted(gradients, job.model.shapes, job.step_shapes(1))
    # Nothing wants the gradient of the image itself, nor all of that of the caption.
    assert both == pytest.approx(cost.BACKWARD_FACTOR * cost.forward_flops(job), rel=0.1)


@pytest.mark.newest
def test_a_cpu_is_counted_as_an_accelerator(monkeypatch):
    wide = (
        "stages.base.model.image_size=16",
        "stages.base.model.channels=64",
        "stages.base.model.channel_mult=(1,)",
    )
    experiment = tiny.experiment(*wide, "stages.base.model.attention_resolutions=()")
    (job,) = planned_jobs(experiment).stages

    def here():
        batch = {n: jax.ShapeDtypeStruct((8, *x.shape[1:]), x.dtype) for n, x in small.items()}
        traced = jax.jit(lambda *given: job.loss(*given)).trace(job.model.shapes, batch, KEY)
        return product_flops(traced.jaxpr) / 8

    small = job.step_shapes(1)
    assert cost.forward_flops(job) > 1.3 * here()
    monkeypatch.setattr(kernels, "platform_of", lambda x: "tpu")
    assert cost.forward_flops(job) == pytest.approx(here(), rel=0.01)


def test_no_compiler_is_asked(monkeypatch):
    """Those of GPUs and TPUs are plugins, which refuse."""

    def refuse(self):
        raise NotImplementedError

    monkeypatch.setattr(jax.stages.Lowered, "cost_analysis", refuse)
    (job,) = planned_jobs(tiny.experiment()).stages
    estimate = cost.estimate(job)
    assert estimate.flops_per_step == 3 * job.training.batch_size * cost.forward_flops(job)
    assert estimate.seconds_per_step > 0


@pytest.mark.newest
def test_xla_counts_about_as_many():
    wide = (
        "stages.base.model.channels=96",
        "stages.base.model.text_width=64",
        "stages.base.model.image_size=16",
        tiny.TWO_SIZES,
    )
    experiment = tiny.experiment(*wide, "stages.base.model.attention_resolutions=(8,)")
    (job,) = planned_jobs(experiment).stages
    lowered = jax.jit(job.loss).lower(job.model.shapes, job.step_shapes(1), KEY)
    theirs = lowered.cost_analysis()["flops"]
    # It leaves the padding's zeros out, and adds what is done for each element.
    assert cost.forward_flops(job) == pytest.approx(theirs, rel=0.1)
