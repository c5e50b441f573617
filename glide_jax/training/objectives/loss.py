"""What a loss is to the train step."""

from collections.abc import Callable
from typing import NamedTuple

from glide_jax.training.batch import Batch
from glide_jax.types import Array, Params


class LossAux(NamedTuple):
    """What a loss returns beside its value.

    Attributes:
        means: metrics by name, f32[] each, averaged over the batch.
        per_example_losses: f32[b], unweighted: before each is multiplied by `t_weight`.
    """

    means: dict[str, Array]
    per_example_losses: Array


Loss = Callable[[Params, Batch, Array], tuple[Array, LossAux]]
"""(params, batch, PRNG key of the step) → (mean loss f32[], aux).

The batch holds everything that `training.batch` lists, so a loss never depends on how the batch is
split over devices and microbatches.
"""
