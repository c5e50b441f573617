"""What a job's step sends between devices, where no compiler says it, and how long that takes."""

import math

import jax.numpy as jnp

from glide_jax.planning.collectives import Collectives, described
from glide_jax.planning.topologies import Topology
from glide_jax.training.job import Job
from glide_jax.training.step import num_microbatches


def expected_collectives(job: Job, topology: Topology) -> Collectives:
    """The collectives of weights and gradients, by arithmetic.

    Data-parallel, gradients are summed over all devices, once. With `training.fsdp` each microbatch
    gathers the weights twice, forward and back, in the model's dtype; its gradients, in float32,
    are scattered over the devices that share a copy, and summed over the copies. A TPU's compiler
    moves the latter two behind the last microbatch; of GPUs that is not known, and here it doesn't.

    Args:
        job: of `planned_jobs`.
        topology: the machine.
    """
    training, chips = job.training, topology.chips
    shared, copies = training.fsdp, chips // training.fsdp
    passes = num_microbatches(training, chips)
    gradients = 4.0 * sum(s.size for s in job.trained.shapes.values())
    if shared == 1:
        return _present({"all-reduce": 2 * gradients * _others(chips)})
    dtype = jnp.dtype(job.model.config.dtype)
    weights = sum(math.prod(s.shape) for s in job.loss_shapes.values()) * dtype.itemsize
    times = 1 if topology.chip.platform == "tpu" else passes
    return _present(
        {
            "all-gather": 2 * passes * weights * _others(shared),
            "reduce-scatter": times * gradients * _others(shared),
            "all-reduce": times * 2 * gradients / shared * _others(copies),
        }
    )


def link_seconds(collectives: Collectives, topology: Topology) -> float:
    """How long the links take at least: with all of a chip's links busy all the time."""
    return collectives.total / topology.chip.link_bytes_per_second


def link_line(
    collectives: Collectives, topology: Topology, step_seconds: float, by_compiler: bool
) -> str:
    """One line: bytes by kind, and their time beside the step's.

    Args:
        collectives: of a step.
        topology: the machine.
        step_seconds: what the step takes without them.
        by_compiler: whether they are read from the compiled program.
    """
    seconds = link_seconds(collectives, topology)
    bandwidth = topology.chip.link_bytes_per_second / 1e9
    how = "by the compiler" if by_compiler else "by arithmetic"
    unread = f"; {collectives.unread_loops} loops counted once" * bool(collectives.unread_loops)
    return (
        f"  collectives a step, {how}: {described(collectives.sent)} leave each chip{unread}; at "
        f"{bandwidth:g} GB/s over all its links at least {seconds:.2g} s, "
        f"{seconds / step_seconds:.1%} of the step's time"
    )


def _others(count: int) -> float:
    """The share of an array that is on the other devices of a group."""
    return (count - 1) / count


def _present(sent: dict[str, float]) -> Collectives:
    return Collectives({kind: size for kind, size in sent.items() if size})
