"""The state of training from step to step: one pytree, of arrays alone."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from glide_jax.diffusion.timesteps import Timesteps
from glide_jax.parallel.mesh import replicated, weight_sharding
from glide_jax.training.packing import Packing
from glide_jax.types import Array, Params


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """The state of a run.

    Attributes:
        step: i32[], steps taken.
        params: the weights.
        ema_params: their exponential moving average, the weights to sample from.
        opt_state: the optimizer's, of the packed trainable weights.
        timesteps: the memory of `diffusion.timesteps`.
    """

    step: Array
    params: Params
    ema_params: Params
    opt_state: Any
    timesteps: Any


def fresh_state(
    params: Params,
    optimizer: optax.GradientTransformation,
    packing: Packing,
    timesteps: Timesteps,
) -> TrainState:
    """The state at step 0."""
    # The average must own its memory: the step donates both trees.
    ema_params = jax.tree.map(jnp.copy, params)
    opt_state = optimizer.init(packing.pack(params))
    memory = jax.tree.map(jnp.copy, timesteps.memory)
    return TrainState(jnp.zeros((), jnp.int32), params, ema_params, opt_state, memory)


def state_sharding(mesh: jax.sharding.Mesh, state: TrainState) -> Any:
    """A tree of shardings for `state` (arrays or shapes); moments are sharded as their weights."""
    by_path = weight_sharding(mesh, state.params)
    everywhere = replicated(mesh)

    def of_moment(path, x):
        # optax keeps a moment under its weight's own key, and counters under none.
        weight = getattr(path[-1], "key", None)
        return weight_sharding(mesh, {weight: x})[weight] if weight else everywhere

    opt_state = jax.tree_util.tree_map_with_path(of_moment, state.opt_state)
    memory = jax.tree.map(lambda _: everywhere, state.timesteps)
    # A TrainState of shardings: the same tree, though its fields are declared as arrays.
    leaves: Any = (everywhere, by_path, by_path, opt_state, memory)
    return TrainState(*leaves)
