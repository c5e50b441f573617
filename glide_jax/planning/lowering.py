"""What a job computes, lowered for devices that need not be here; nothing is run."""

import jax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from glide_jax.models.platforms import abstract_device
from glide_jax.training.job import Job
from glide_jax.training.lowering import placed
from glide_jax.training.starting import packing_of


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
    return placed(batch, {name: NamedSharding(mesh, PartitionSpec()) for name in batch})
