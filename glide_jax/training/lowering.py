"""A job's train step, lowered for devices that need not be here; nothing is run."""

from typing import Any

import jax
from jax.sharding import Mesh

from glide_jax.parallel.mesh import batch_sharding, replicated, weight_sharding
from glide_jax.training.job import Job
from glide_jax.training.starting import state_from_params, step_of
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
    beside = [placed(base, weight_sharding(mesh, base))] if base else []
    batch = job.pipeline_shapes(config.batch_size)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return step.lower(
        placed(state, state_sharding(mesh, state)),
        placed(batch, {name: batch_sharding(mesh) for name in batch}),
        placed(key, replicated(mesh)),
        *beside,
    )


def placed(tree: Any, shardings: Any) -> Any:
    """A tree of shapes, each with its sharding."""
    return jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, shardings
    )
