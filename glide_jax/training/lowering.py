"""A job's step for devices that need not be here, to compile and look at; nothing is run."""

from typing import Any

import jax
from jax.sharding import AbstractDevice, AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from glide_jax.parallel.mesh import batch_sharding, replicated
from glide_jax.training.loop import Job, packing_of, state_around, step_of
from glide_jax.training.state import TrainState, state_sharding


def abstract_state(job: Job) -> TrainState:
    """The shapes of the job's state; no weight is made."""
    around = state_around(job)
    return jax.eval_shape(lambda key: around(job.model.init(key)), jax.random.key(0))


def lowered_step(job: Job, mesh: Mesh) -> jax.stages.Lowered:
    """The train step that `loop.train` would run on this mesh, ready to compile.

    Args:
        job: its data need not be there.
        mesh: of devices here or elsewhere.
    """
    state, config = abstract_state(job), job.stage.training
    step: Any = step_of(job, mesh, state)
    # What the pipeline gives; the step adds the rest.
    batch = {name: _rows(x, config.batch_size) for name, x in job.one_picture.items()}
    for name in ("index", "t", "t_weight"):
        del batch[name]
    key = jax.eval_shape(lambda: jax.random.key(0))
    return step.lower(
        _placed(state, state_sharding(mesh, state)),
        _placed(batch, {name: batch_sharding(mesh) for name in batch}),
        _placed(key, replicated(mesh)),
    )


def lowered_gradients(job: Job, pictures: int) -> jax.stages.Lowered:
    """Loss and gradients of one micro-batch on one device of this machine, ready to compile.

    Args:
        job: its data need not be there.
        pictures: in the micro-batch.
    """
    packing = packing_of(job)

    def gradients(params, batch, key):
        value, grads = jax.value_and_grad(job.loss, has_aux=True)(params, batch, key)
        return value, packing.pack(grads)

    batch = {name: _rows(x, pictures) for name, x in job.one_picture.items()}
    return jax.jit(gradients).lower(job.model.shapes, batch, jax.random.key(0))


def on_accelerator(batch: dict[str, jax.ShapeDtypeStruct]) -> dict[str, jax.ShapeDtypeStruct]:
    """The batch as if it lay on one, so that models compute from it what they would there.

    Those are their definition's: a CPU takes fewer operations, its convolutions being Winograd's.
    """
    device = AbstractDevice(device_kind="any", num_cores=None, platform="tpu")
    mesh = AbstractMesh((1,), ("any",), (AxisType.Auto,), abstract_device=device)
    return _placed(batch, {name: NamedSharding(mesh, PartitionSpec()) for name in batch})


def _rows(x: jax.ShapeDtypeStruct, count: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype)


def _placed(tree: Any, shardings: Any) -> Any:
    return jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, shardings
    )
