"""Which step of the noising process each picture is trained at, and how much it then counts.

A way of drawing is a pair of pure functions around a memory, which is data: what was learned of the
steps' losses so far. Whatever it draws by, E[weight · loss(t)] is the mean of loss(t) over all t.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from glide_jax.types import Array

HISTORY = 10
"""Losses that are remembered of each step (Nichol & Dhariwal 2021, sec. 3.3)."""

UNIFORM_SHARE = 0.001
"""Share of the pictures whose step is drawn evenly, so that no step is forgotten."""


class Timesteps(NamedTuple):
    """A way of drawing steps.

    Attributes:
        num_steps: T.
        memory: of nothing drawn so far; a pytree of arrays.
        draw: (memory, keys: key[b], each picture's own) → (t: i32[b] in [0, T), weight: f32[b]);
            t is -1 where nothing is noised.
        update: (memory, t: i32[b], losses: f32[b], each picture's own, not weighted) → memory.
    """

    num_steps: int
    memory: Any
    draw: Callable[[Any, Array], tuple[Array, Array]]
    update: Callable[[Any, Array, Array], Any]


def uniform(num_steps: int) -> Timesteps:
    """Every step as often as any other, all of weight 1; nothing is remembered.

    Args:
        num_steps: T.
    """

    def draw(memory: Any, keys: Array) -> tuple[Array, Array]:
        del memory
        t = jax.vmap(lambda key: jax.random.randint(key, (), 0, num_steps))(keys)
        return t, jnp.ones(len(keys))

    return Timesteps(num_steps, {}, draw, lambda memory, t, losses: memory)


def not_noised(num_steps: int) -> Timesteps:
    """No step at all, for what learns from pictures as they are.

    Args:
        num_steps: T.
    """

    def draw(memory: Any, keys: Array) -> tuple[Array, Array]:
        del memory
        return jnp.full(len(keys), -1), jnp.ones(len(keys))

    return Timesteps(num_steps, {}, draw, lambda memory, t, losses: memory)


def loss_second_moment(num_steps: int) -> Timesteps:
    """Steps in proportion to the root of E[loss²], where their gradients are the noisiest.

    p_t ∝ sqrt(E[L_t²]), weight 1 / (T p_t) (Nichol & Dhariwal 2021, eq. 18), the mean over the
    last `HISTORY` losses of each step; even until each has as many.

    Args:
        num_steps: T.

    Returns:
        The way; its memory is {"losses": f32[T HISTORY], a ring each, "counts": i32[T]}.
    """
    empty = {
        "losses": jnp.zeros((num_steps, HISTORY)),
        "counts": jnp.zeros(num_steps, jnp.int32),
    }

    def draw(memory: Any, keys: Array) -> tuple[Array, Array]:
        p = step_probabilities(memory)
        # By picture and not by one cumulative sum: its float32 can't tell the rarest steps apart.
        t = jax.vmap(jax.random.categorical, (0, None))(keys, jnp.log(p))
        return t, 1 / (num_steps * p[t])

    def update(memory: Any, t: Array, losses: Array) -> Any:
        # Pictures of the same step enter its ring one after the other, in the batch's order.
        same = (t[:, None] == t[None]).astype(jnp.int32)
        before = jnp.tril(same, k=-1).sum(1)
        left_over = before < same.sum(1) - HISTORY  # pushed out again by later ones
        slot = (memory["counts"][t] + before) % HISTORY
        row = jnp.where(left_over, num_steps, t)
        return {
            "losses": memory["losses"].at[row, slot].set(losses, mode="drop"),
            "counts": memory["counts"].at[t].add(1),
        }

    return Timesteps(num_steps, empty, draw, update)


def step_probabilities(memory: Any) -> Array:
    """f32[T]: how likely `loss_second_moment` draws each step, from what it remembers."""
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
}
"""Name → function from the number of steps to the way of drawing them."""
