"""How a run of several processes stops where one of them has no data.

All processes have to take the same steps, and those that have data are ahead of the one that has
none: their next step waits for its part. So it gives a batch of which no loss is finite. Such a
step changes nothing of the state but its number (`training.step`), and what is saved is the state
after the last step for which all had data.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.parallel.collectives import gathered
from glide_jax.training.job import Job
from glide_jax.training.state import TrainState


def batch_without_data(job: Job) -> dict[str, np.ndarray]:
    """This process's part of a batch whose loss is not finite."""
    count = job.training.batch_size // jax.process_count()
    shapes = job.pipeline_shapes(count)
    rows = {name: np.zeros(s.shape, s.dtype) for name, s in shapes.items()}
    rows["image"] = np.full_like(rows["image"], np.nan)
    return rows | {"replacement": np.zeros(count, np.bool_)}


def taken_by_all(taken: int) -> int:
    """The last step for which all processes had data. Every process must call it.

    Args:
        taken: the last one for which this process had.
    """
    return int(gathered(np.array([[taken]], np.int64)).min())


def back_at(state: TrainState, step: int) -> TrainState:
    """A state that later steps have not changed, with the number of an earlier one.

    Args:
        state: after steps that were skipped, as their losses were not finite.
        step: the last that was not.
    """
    number = jax.jit(lambda: jnp.full_like(state.step, step), out_shardings=state.step.sharding)()
    return dataclasses.replace(state, step=number)
