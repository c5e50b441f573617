"""A job's train step, lowered for devices that need not be here; nothing is run."""

from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from glide_jax.models.platforms import abstract_device
from glide_jax.parallel.mesh import batch_sharding, replicated, weight_sharding
from glide_jax.training.job import Job
from glide_jax.training.starting import packing_of, state_from_params, step_of
from glide_jax.training.state import TrainState, state_sharding


def abstract_state(job: Job) -> TrainState:
    """The shapes of a job's state; no weight is made."""
    from_params = state_from_params(job)
    return jax.eval_shape(lambda key: from_params(job.trained.init(key)), jax.random.key(0))


def lowered_step(job: Job, mesh: Mesh) -> jax.stages.Lowered:
    """The train step that `loop.train` would run on this mesh, ready to compile.

    Args:
        job: its data set is not read.
        mesh: of devices here or elsewhere.
    """
    state, config = abstract_state(job), job.training
    base = job.base_shapes or None
    step: Any = step_of(job, mesh, state, base)
    placed = [_placed(base, weight_sharding(mesh, base))] if base else []
    batch = job.pipeline_shapes(config.batch_size)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return step.lower(
        _placed(state, state_sharding(mesh, state)),
        _placed(batch, {name: batch_sharding(mesh) for name in batch}),
        _placed(key, replicated(mesh)),
        *placed,
    )


def lowered_gradients(job: Job, images: int) -> jax.stages.Lowered:
    """Loss and gradients of one microbatch on one device of this machine, ready to compile.

    Args:
        job: its data set is not read.
        images: number of images in the microbatch.
    """
    packing = packing_of(job)

    def gradients(params, batch, key):
        value, grads = jax.value_and_grad(job.loss, has_aux=True)(params, batch, key)
        return value, packing.pack(grads)

    return jax.jit(gradients).lower(job.loss_shapes, job.step_shapes(images), jax.random.key(0))


def on_accelerator(batch: dict[str, jax.ShapeDtypeStruct]) -> dict[str, jax.ShapeDtypeStruct]:
    """The batch as if it lay on an accelerator, so that models trace as they would there.

    On a CPU they trace differently: its Winograd convolutions take fewer operations than those of
    the definition.
    """
    device = abstract_device("tpu")
    mesh = AbstractMesh((1,), ("any",), (AxisType.Auto,), abstract_device=device)
    return _placed(batch, {name: NamedSharding(mesh, PartitionSpec()) for name in batch})


def _placed(tree: Any, shardings: Any) -> Any:
    return jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, shardings
    )
