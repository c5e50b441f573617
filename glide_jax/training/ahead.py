"""Train steps that are compiled before their turn, while the job before theirs trains."""

import concurrent.futures
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Self

import jax

from glide_jax.checkpoints import CHECKPOINTS, find_checkpoint
from glide_jax.parallel.mesh import make_mesh
from glide_jax.training.job import Job
from glide_jax.training.lowering import lowered_step
from glide_jax.training.step import TrainStep


class Ahead:
    """Compiles the train steps of jobs in a thread, one after the other. A context manager.

    XLA compiles a step for half a minute to many minutes, on the host, of which training leaves
    some idle. A GPU's compiler times kernels on the device that trains, and several processes must
    compile alike: there it is left to each job's own turn.

    Args:
        jobs: those after the first, with the paths of their frozen weights.
    """

    def __init__(self, jobs: Sequence[Job]):
        self._executor = concurrent.futures.ThreadPoolExecutor(1, "compiling")
        self._steps: dict[str, Future[TrainStep]] = {}
        if jax.process_count() > 1 or jax.default_backend() == "gpu":
            return
        for job in filter(_can_be, jobs):
            self._steps[job.title] = self._executor.submit(_compiled, job)

    def step_of(self, job: Job) -> TrainStep | None:
        """The compiled step of a job, once it is there; None: its turn compiles it."""
        found = self._steps.pop(job.title, None)
        return found.result() if found else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        # What is being compiled can't be interrupted, and a process that ends meanwhile may crash.
        self._executor.shutdown(cancel_futures=True)


def _can_be(job: Job) -> bool:
    """Whether a job's step is known now: of weights beside the state not even their dtype is."""
    found = find_checkpoint(job.directory / CHECKPOINTS)
    is_done = found is not None and found.step >= job.training.num_steps
    return not is_done and not job.base_shapes


def _compiled(job: Job) -> TrainStep:
    return lowered_step(job, make_mesh(job.training.fsdp)).compile()
