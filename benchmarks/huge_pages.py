"""A train step with and without huge pages, in turns: what `glide_jax/huge_pages.py` gives.

    python benchmarks/huge_pages.py [--config=configs/quickstart.py] [--stage=base] [--turns=10] \
        [--steps=10] [--config.KEY=VALUE …]

Two processes compile the stage's train step and run it in turns, on batches of noise: one whose
malloc asks for huge pages, and one whose malloc doesn't. Prints the medians of both, by the clock
and of the processor, the page faults of a step, and the ratio of the times. It needs a Linux that
gives huge pages to those who ask (`madvise` in /sys/kernel/mm/transparent_hugepage/enabled), and
glibc 2.35.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax import config
from glide_jax.parallel.mesh import make_mesh
from glide_jax.planning.jobs import planned_jobs
from glide_jax.runtime import enable_compilation_cache, split_cpu
from glide_jax.training.job import Job
from glide_jax.training.lowering import lowered_step
from glide_jax.training.starting import state_from_params

SETTINGS = {"without": "glibc.malloc.hugetlb=0", "with": "glibc.malloc.hugetlb=1"}
"""How each process is started: the value of GLIBC_TUNABLES."""

FIGURES = ("ms by the clock", "user ms", "system ms", "page faults")


def main(argv: Sequence[str]) -> None:
    """Measure, and print."""
    words, overrides = config.split_overrides(argv)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/quickstart.py")
    parser.add_argument("--stage", default="base")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--child", action="store_true")
    arguments = parser.parse_args(words)
    if arguments.child:
        run_when_asked(arguments.config, overrides, arguments.stage, arguments.steps)
        return
    command = [sys.executable, __file__, *argv, "--child"]
    children = {
        name: subprocess.Popen(
            command,
            env=os.environ | {"GLIBC_TUNABLES": setting},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, setting in SETTINGS.items()
    }
    turns: dict[str, list[list[float]]] = {name: [] for name in children}
    for _ in range(arguments.turns + 1):
        for name, child in children.items():
            turns[name].append(json.loads(asked(child)))
    medians = {name: np.median(rows[1:], axis=0) for name, rows in turns.items()}
    for name, row in medians.items():
        shown = ", ".join(f"{what} {x:,.1f}" for what, x in zip(FIGURES, row, strict=True))
        print(f"{name:8} {shown}")
    clock = np.array([[row[0] for row in turns[name][1:]] for name in SETTINGS])
    ratios = clock[1] / clock[0]
    low, middle, high = np.quantile(ratios, (0.05, 0.5, 0.95))
    spread = f"90 % of {len(ratios)} turns {low:.3f} to {high:.3f}"
    print(f"with / without: {middle:.3f} of the time; {spread}")
    for child in children.values():
        child.communicate()


def asked(child: Any) -> str:
    """What a child answers: the figures of its next turn."""
    child.stdin.write("go\n")
    child.stdin.flush()
    return child.stdout.readline()


def run_when_asked(path: str, overrides: Sequence[str], stage: str, steps: int) -> None:
    """Answer each line of stdin with the figures of a step, the mean of so many."""
    experiment = config.experiment_from(config.load_config(path, overrides))
    split_cpu(experiment.cpu_devices)
    enable_compilation_cache()
    job = next(job for job in planned_jobs(experiment).stages if job.name == stage)
    compiled = lowered_step(job, make_mesh(job.training.fsdp)).compile()
    from_params = state_from_params(job)
    state = jax.jit(lambda key: from_params(job.trained.init(key)))(jax.random.key(0))
    batch, key = noise(job), jax.random.key(1)
    for _ in sys.stdin:
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        for _ in range(steps):
            state, metrics = compiled(state, batch, key)
        jax.block_until_ready(metrics)
        seconds, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        row = [
            *(1000 * s / steps for s in (seconds, now.ru_utime - before.ru_utime)),
            1000 * (now.ru_stime - before.ru_stime) / steps,
            (now.ru_minflt - before.ru_minflt) / steps,
        ]
        print(json.dumps(row), flush=True)


def noise(job: Job) -> dict[str, jax.Array]:
    """A batch of the job's shapes: normal where it is of floats, all of the caption kept."""
    rng = np.random.default_rng(0)

    def made(shape: jax.ShapeDtypeStruct) -> jax.Array:
        if jnp.issubdtype(shape.dtype, jnp.floating):
            return jnp.asarray(rng.normal(size=shape.shape), shape.dtype)
        return jnp.ones(shape.shape, shape.dtype)

    return {name: made(s) for name, s in job.pipeline_shapes(job.training.batch_size).items()}


if __name__ == "__main__":
    main(sys.argv[1:])
