"""Sampling the base model in bfloat16 with guidance, from its first image to a batch of 32."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from accelerator_suite import models
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.stages import make_stage

BATCHES = (1, 8, 32)
REPEATS = 2


def run(out: Path, *, smoke: bool) -> Iterator[tuple[str, Any]]:
    """Yield (batch, {figure: number}) of each batch."""
    job = models.base_job(smoke=smoke)
    steps = 2 if smoke else 100
    params = jax.jit(job.model.init)(jax.random.key(0))
    assert job.stage is not None
    stage: Any = job.stage
    made = make_stage("base", stage, job.model, params, job.reader, 0)
    pipe, peak, flops = Pipeline((made,)), models.peak(job), models.forward_flops(job)
    yield "model", f"{sum(s.size for s in job.model.shapes.values()):,} parameters, bfloat16"
    yield "steps", f"{steps} of DDPM, each of two model evaluations an image"
    yield "GFLOP of a model evaluation", flops / 1e9
    for batch in BATCHES[:1] if smoke else BATCHES:
        begun = time.perf_counter()
        asked = {"num_images": batch, "steps": steps, "batch_size": batch, "guidance_scale": 3.0}
        pipe("", seed=0, **asked)
        first = time.perf_counter() - begun
        begun = time.perf_counter()
        for seed in range(1, 1 + REPEATS):
            pipe("", seed=seed, **asked)
        seconds = (time.perf_counter() - begun) / REPEATS
        yield (
            f"batch {batch}",
            {
                "ms an image": 1e3 * seconds / batch,
                "ms a step": 1e3 * seconds / steps,
                "MFU": 2 * steps * batch * flops / seconds / peak,
                "s of the first call": first,
                "GiB at most": models.memory_gib(),
            },
        )
