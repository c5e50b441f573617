"""Sampling of training timesteps: each image's step of the noising process, and its weight.

A `Timesteps` is two pure functions of a memory, a pytree that holds the steps' losses so far.
Whatever the distribution, E[weight · loss(t)] is the mean of loss(t) over all t; but `first`, which
leaves all steps but one out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.types import Array

HISTORY = 10
"""Number of losses kept for each step (Nichol & Dhariwal 2021, sec. 3.3)."""

UNIFORM_SHARE = 0.001
"""Share of the images whose step is sampled uniformly, so that every step keeps occurring."""


FIRST = "first"
"""The name of `first`: a guide that was trained so has learned no other t."""


class Timesteps(NamedTuple):
    """How training samples timesteps.

    Attributes:
        num_steps: T.
        memory: the initial one; a pytree of arrays.
        sample: (memory, keys: key[b], one for each image) → (t: i32[b] in [0, T), weight:
            f32[b]); t is -1 for an objective without noise.
        update: (memory, t: i32[b], losses: f32[b], one for each image, unweighted) → memory.
    """

    num_steps: int
    memory: Any
    sample: Callable[[Any, Array], tuple[Array, Array]]
    update: Callable[[Any, Array, Array], Any]


def uniform(num_steps: int) -> Timesteps:
    """The uniform distribution, every weight 1; without memory.

    Args:
        num_steps: T.
    """

    def sample(memory: Any, keys: Array) -> tuple[Array, Array]:
        del memory
        t = jax.vmap(lambda key: jax.random.randint(key, (), 0, num_steps))(keys)
        return t, jnp.ones(len(keys))

    return Timesteps(num_steps, {}, sample, lambda memory, t, losses: memory)


def among(kept: np.ndarray, num_steps: int) -> Timesteps:
    """The uniform distribution over some of the steps, every weight 1; without memory.

    Args:
        kept: i64[S] in [0, T), see `schedule.kept_timesteps`.
        num_steps: T.
    """
    steps = jnp.asarray(kept, jnp.int32)

    def sample(memory: Any, keys: Array) -> tuple[Array, Array]:
        del memory
        place = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(kept)))(keys)
        return steps[place], jnp.ones(len(keys))

    return Timesteps(num_steps, {}, sample, lambda memory, t, losses: memory)


def first(num_steps: int) -> Timesteps:
    """t = 0 for every image, where there is hardly any noise: for a CLIP that is not noised.

    Args:
        num_steps: T.
    """
    return among(np.zeros(1, np.int64), num_steps)


def not_noised(num_steps: int) -> Timesteps:
    """t = -1 for every image, for objectives that don't add noise.

    Args:
        num_steps: T.
    """

    def sample(memory: Any, keys: Array) -> tuple[Array, Array]:
        del memory
        return jnp.full(len(keys), -1), jnp.ones(len(keys))

    return Timesteps(num_steps, {}, sample, lambda memory, t, losses: memory)


def loss_second_moment(num_steps: int) -> Timesteps:
    """Importance sampling: steps with large losses more often (Nichol & Dhariwal 2021, eq. 18).

    p_t ∝ sqrt(E[L_t²]), weight 1 / (T p_t), where E is the mean over the last `HISTORY` losses of
    step t; uniform until every step has that many.

    Args:
        num_steps: T.

    Returns:
        Timesteps, whose memory is {"losses": f32[T HISTORY], a ring buffer for each step, "counts":
        i32[T], how often each step was sampled}.
    """
    empty = {
        "losses": jnp.zeros((num_steps, HISTORY)),
        "counts": jnp.zeros(num_steps, jnp.int32),
    }

    def sample(memory: Any, keys: Array) -> tuple[Array, Array]:
        p = step_probabilities(memory)
        # By categorical, not by a cumulative sum, which in float32 loses the rarest steps.
        t = jax.vmap(jax.random.categorical, (0, None))(keys, jnp.log(p))
        return t, 1 / (num_steps * p[t])

    def update(memory: Any, t: Array, losses: Array) -> Any:
        # Images of the same step enter its ring in the batch's order.
        same = (t[:, None] == t[None]).astype(jnp.int32)
        before = jnp.tril(same, k=-1).sum(1)
        left_over = before < same.sum(1) - HISTORY  # would be overwritten by later ones
        slot = (memory["counts"][t] + before) % HISTORY
        row = jnp.where(left_over, num_steps, t)
        return {
            "losses": memory["losses"].at[row, slot].set(losses, mode="drop"),
            "counts": memory["counts"].at[t].add(1),
        }

    return Timesteps(num_steps, empty, sample, update)


def step_probabilities(memory: Any) -> Array:
    """f32[T]: the probability of each step under `loss_second_moment`, from its memory."""
    losses, counts = memory["losses"], memory["counts"]
    num_steps = len(counts)
    size = jnp.sqrt(jnp.square(losses).mean(1))
    total = size.sum()
    ready = (counts >= HISTORY).all() & (total > 0)
    share = jnp.where(ready, size / jnp.where(ready, total, 1), 1 / num_steps)
    return (1 - UNIFORM_SHARE) * share + UNIFORM_SHARE / num_steps


TIMESTEPS: dict[str, Callable[[int], Timesteps]] = {
    "uniform": uniform,
    "loss_second_moment": loss_second_moment,
    FIRST: first,
}
"""Name → function from the number of steps to its Timesteps."""
