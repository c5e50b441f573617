"""Losses by quarters of the noising process: which noise levels are still being learned.

The sums are computed inside the train step, at next to no cost, and read with the other metrics.
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
        losses: f32[b], the loss of each image.
        t: i32[b] in [0, num_steps); -1, of an image that was not noised, lies in no quarter.
        num_steps: T of the noising process.

    Returns:
        f32[4 2]: the sum of the losses and the number of images; the least noise first.
    """
    inside = jax.nn.one_hot(t * COUNT // num_steps, COUNT, dtype=losses.dtype)
    # `where`, as 0 times a loss that is not finite is nan.
    sums = jnp.where(inside > 0, losses[:, None], 0).sum(0)
    return jnp.stack([sums, inside.sum(0)], axis=1)


def quartile_means(sums: Sequence[np.ndarray]) -> dict[str, float]:
    """The means over several steps; a quarter without images is left out.

    Args:
        sums: of `quartile_sums`, f32[4 2] for each step.

    Returns:
        loss_q1 to loss_q4, the least noise first.
    """
    if not sums:
        return {}
    total = np.stack(sums).sum(0, dtype=np.float64)
    return {f"loss_q{i}": float(sum_ / count) for i, (sum_, count) in enumerate(total, 1) if count}
