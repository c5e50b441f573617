"""The base model's train step in bfloat16, from small batches to the largest that runs."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from accelerator_suite import models
from glide_jax.parallel.mesh import batch_sharding, make_mesh
from glide_jax.planning import cost
from glide_jax.training.starting import state_from_params, step_of
from glide_jax.training.state import state_sharding

FIRST = 8
STEPS = 5
LARGEST = 1024


def run(out: Path, *, smoke: bool) -> Iterator[tuple[str, Any]]:
    """Yield (batch, {figure: number}) of each batch a device, then the largest that ran."""
    devices, batch = jax.device_count(), 2 if smoke else FIRST
    largest = batch if smoke else LARGEST
    job = models.base_job(smoke=smoke)
    flops, peak = cost.step_flops(job), models.peak(job)
    yield "TFLOP an image", flops / 1e12
    while batch <= largest:
        try:
            seconds = seconds_of_step(batch, smoke=smoke)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            yield "the next batch is too large", batch
            return
        yield (
            f"batch {batch} a device",
            {
                "images/s": devices * batch / seconds,
                "ms a step": 1e3 * seconds,
                "MFU": batch * flops / seconds / peak,
                "GiB at most": models.memory_gib(),
            },
        )
        yield "largest batch a device that ran", batch
        batch *= 2


def seconds_of_step(batch: int, *, smoke: bool) -> float:
    """Seconds of a step of this many images a device, without microbatches, compiled before."""
    count = batch * jax.device_count()
    of_batch = f"stages.base.training.batch_size={count}"
    job = models.base_job(of_batch, "stages.base.training.microbatch_size=0", smoke=smoke)
    mesh, from_params = make_mesh(1), state_from_params(job)

    def fresh(key):
        return from_params(job.model.init(key))

    key = jax.random.key(0)
    shardings = state_sharding(mesh, jax.eval_shape(fresh, key))
    state = jax.jit(fresh, out_shardings=shardings)(key)
    step, sharding = step_of(job, mesh, state, None), batch_sharding(mesh)
    rows = {
        name: jax.device_put(jax.numpy.zeros(s.shape, s.dtype), sharding)
        for name, s in job.pipeline_shapes(count).items()
    }
    for _ in range(2):
        state, metrics = step(state, rows, key)
    jax.block_until_ready(metrics)
    begun = time.perf_counter()
    for _ in range(STEPS):
        state, metrics = step(state, rows, key)
    jax.block_until_ready(metrics)
    return (time.perf_counter() - begun) / STEPS
