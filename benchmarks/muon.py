"""The time of Muon's orthogonalization, beside that of `optax.contrib`.

    python benchmarks/muon.py [--config=configs/quickstart.py] [--repeats=20] [--config.KEY=VALUE …]

Both take a kernel of [1152 128], and all matrices of the config's first stage in one program. How
precise each is where products are rounded is a test: `tests/training/muon_test.py`.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax.contrib

from glide_jax import config
from glide_jax.planning.jobs import planned_jobs
from glide_jax.training.muon import orthogonalized

Shape = tuple[int, int]


def main(argv: Sequence[str]) -> None:
    """Measure, and print."""
    words, overrides = config.split_overrides(argv)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/quickstart.py")
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args(words)
    experiment = config.experiment_from(config.load_config(arguments.config, overrides))
    shapes = matrices_of(experiment)
    kind = jax.devices()[0].device_kind
    print(f"{kind}; {len(shapes)} matrices in the first stage of {arguments.config}")
    for name, function in {"glide_jax": orthogonalized, "optax": orthogonalized_by_optax}.items():
        one = milliseconds(function, [(1152, 128)], arguments.repeats)
        together = milliseconds(function, shapes, arguments.repeats)
        print(f"{name}: [1152 128] {one:.2f} ms; all matrices {together:.1f} ms", flush=True)


def orthogonalized_by_optax(matrix: jax.Array) -> jax.Array:
    """optax's iteration: the same steps, on the matrix itself and not on its Gram matrix."""
    muon = optax.contrib.scale_by_muon(beta=0.0, nesterov=False)
    result: Any
    result, _ = muon.update(matrix, muon.init(matrix))
    return result


def matrices_of(experiment: config.Experiment) -> list[Shape]:
    """The shapes that Muon orthogonalizes in the first stage; kernels count as [h·w·m n]."""
    job = planned_jobs(experiment).stages[0]
    return [
        (math.prod(s.shape[:-1]), s.shape[-1])
        for path, s in job.model.shapes.items()
        if len(s.shape) in (2, 4) and not path.endswith("_embedding")
    ]


def milliseconds(
    function: Callable[[jax.Array], jax.Array], shapes: Sequence[Shape], repeats: int
) -> float:
    """The median time of a function of one matrix, for all these shapes in one program."""
    keys = jax.random.split(jax.random.key(0), len(shapes))
    matrices = [jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)]
    program = jax.jit(lambda matrices: [function(matrix) for matrix in matrices])
    jax.block_until_ready(program(matrices))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(program(matrices))
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
