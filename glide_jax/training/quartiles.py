"""Losses by quarters of the noising process: which noise level is still being learned.

Summed in the train step, out of what is there already; read when a line of metrics is due.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.types import Array

COUNT = 4


def quartile_sums(losses: Array, t: Array, num_steps: int) -> Array:
    """Sum a batch's losses by the quarter of the noising process that t lies in.

    Args:
        losses: f32[b], each picture's own.
        t: i32[b] in [0, num_steps); below it, of what was not noised, in no quarter.
        num_steps: of the noising process.

    Returns:
        f32[4 2]: the sum, and how many pictures there were; the least noise first.
    """
    inside = jax.nn.one_hot(t * COUNT // num_steps, COUNT, dtype=losses.dtype)
    # Not a product: 0 times a loss that is no number is no number.
    sums = jnp.where(inside > 0, losses[:, None], 0).sum(0)
    return jnp.stack([sums, inside.sum(0)], axis=1)


def quartile_means(sums: Sequence[np.ndarray]) -> dict[str, float]:
    """The means over several steps; a quarter that no picture was in is left out.

    Args:
        sums: what `quartile_sums` gave, f32[4 2] a step.

    Returns:
        loss_q1 to loss_q4, the least noise first.
    """
    if not sums:
        return {}
    total = np.stack(sums).sum(0, dtype=np.float64)
    return {f"loss_q{i}": float(sum_ / count) for i, (sum_, count) in enumerate(total, 1) if count}
