"""The one train step: loss → gradients → optimizer → moving average, jitted and donated."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from glide_jax.config import TrainingConfig
from glide_jax.diffusion.timesteps import Timesteps
from glide_jax.parallel.mesh import BATCH_AXES, batch_sharding, replicated
from glide_jax.training.draws import Draws
from glide_jax.training.packing import Packing
from glide_jax.training.quartiles import quartile_sums
from glide_jax.training.state import TrainState, state_sharding
from glide_jax.types import Array, Params

Batch = dict[str, Array]


class Measured(NamedTuple):
    """What a loss has to say beside its value.

    Attributes:
        means: f32[] each, over the pictures, to report.
        losses: f32[b], each picture's own, before it is weighted by `t_weight`.
    """

    means: dict[str, Array]
    losses: Array


Loss = Callable[[Params, Batch, Array], tuple[Array, Measured]]
"""(params, batch, key of the step) → (mean loss, what it measured). The batch carries

    index     i32[b], each picture's place in the global batch, so that its randomness is its own
              however the batch is cut;
    t         i32[b], the step of the noising process that it is trained at;
    t_weight  f32[b], how much its loss counts, as `diffusion.timesteps` drew t."""

Gradients = Callable[[Params, Batch, Array], tuple[Array, Measured, Params]]
"""The loss's arguments → its value, what it measured, and the packed gradients of what moves."""


Step = Callable[[TrainState, Batch, Array], tuple[TrainState, dict[str, Array]]]
"""(state, batch, seed key) → (state, metrics), jitted."""


def train_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    packing: Packing,
    timesteps: Timesteps,
    config: TrainingConfig,
    mesh: Mesh,
    state: TrainState,
) -> Step:
    """Build the step for this mesh.

    Args:
        loss: what to minimise.
        optimizer: an optax transformation of packed gradients.
        packing: how they are packed; weights that it leaves out stay as they are.
        timesteps: how the steps that pictures are trained at are drawn.
        config: batch and micro-batch sizes, EMA.
        mesh: the devices.
        state: an example of the state (arrays or shapes), for its shardings.

    Returns:
        (state, batch, seed key) → (state, metrics); `state` is donated. The key is folded with
        the step's number inside. Where the loss or a gradient is no number, the step is counted
        and nothing else of the state changes; `skipped` is then 1. `quartiles` is f32[4 2], as
        `quartile_sums` gives it.
    """
    pieces = num_pieces(config, mesh.size)

    def gradients(params: Params, batch: Batch, key: Array):
        def of_moving(moving: Params):
            return loss(params | moving, batch, key)

        by_moving = jax.value_and_grad(of_moving, has_aux=True)
        (value, measured), grads = by_moving(packing.moving(params))
        return value, measured, packing.pack(grads)

    if pieces > 1:
        mean_gradients = _over_pieces(gradients, pieces, mesh)
    elif mesh.size > 1 and mesh.shape["fsdp"] == 1:
        mean_gradients = _by_device(gradients, mesh)
    else:
        mean_gradients = gradients

    def step(state: TrainState, batch: Batch, seed_key: Array):
        key = jax.random.fold_in(seed_key, state.step)
        index = jnp.arange(config.batch_size)
        t, t_weight = timesteps.draw(state.timesteps, Draws(key, index).keys("t"))
        batch = batch | {"index": index, "t": t, "t_weight": t_weight}
        value, measured, grads = mean_gradients(state.params, batch, key)
        memory = timesteps.update(state.timesteps, t, measured.losses)
        params, ema_params = packing.pack(state.params), packing.pack(state.ema_params)
        updates, opt_state = optimizer.update(grads, state.opt_state, params)
        grad_norm = optax.tree.norm(grads)
        taken = jnp.isfinite(value) & jnp.isfinite(grad_norm)
        before = params, ema_params, state.opt_state, state.timesteps
        params: Any = optax.apply_updates(params, updates)
        # Early on the average follows closely, so that short runs are not ruled by their start.
        decay = jnp.minimum(config.ema_decay, (1 + state.step) / (10 + state.step))
        ema_params: Any = jax.tree.map(lambda m, p: m + (1 - decay) * (p - m), ema_params, params)
        # A loss or gradient that is no number would stay in the moments for good.
        after = params, ema_params, opt_state, memory
        params, ema_params, opt_state, memory = jax.tree.map(
            lambda new, old: jnp.where(taken, new, old), after, before
        )
        metrics = measured.means | {"loss": value, "grad_norm": grad_norm, "skipped": ~taken}
        metrics["quartiles"] = quartile_sums(measured.losses, t, timesteps.num_steps)
        params = state.params | packing.unpack(params)
        ema_params = state.ema_params | packing.unpack(ema_params)
        return TrainState(state.step + 1, params, ema_params, opt_state, memory), metrics

    shardings = state_sharding(mesh, state)
    everywhere = replicated(mesh)
    return jax.jit(
        step,
        in_shardings=(shardings, batch_sharding(mesh), everywhere),
        out_shardings=(shardings, everywhere),
        donate_argnums=0,
    )


def num_pieces(config: TrainingConfig, devices: int) -> int:
    """How many micro-batches make a batch. microbatch_size counts pictures a device; 0: all."""
    per_device = config.batch_size // devices
    return per_device // config.microbatch_size if config.microbatch_size else 1


def _by_device(gradients: Gradients, mesh: Mesh) -> Gradients:
    """The mean over the devices, each of which holds all weights and does its own pictures.

    So the devices wait for each other once an array of the packed gradients. XLA's partitioner
    would have them wait once an array of the model, hundreds of times on a CPU.
    """

    def mean(params: Params, batch: Batch, key: Array):
        value, measured, grads = gradients(params, batch, key)
        means = value, measured.means, grads
        value, means, grads = jax.lax.pmean(means, BATCH_AXES)
        return value, Measured(means, measured.losses), grads

    nowhere, over_batch = PartitionSpec(), PartitionSpec(BATCH_AXES)
    specs = {
        "in_specs": (nowhere, over_batch, nowhere),
        "out_specs": (nowhere, Measured(nowhere, over_batch), nowhere),  # pyright: ignore
    }
    return jax.shard_map(mean, mesh=mesh, check_vma=False, **specs)


def _over_pieces(gradients: Gradients, pieces: int, mesh: Mesh) -> Gradients:
    """The mean over micro-batches, one at a time in memory."""

    def cut(x: Array) -> Array:
        # Each device cuts up its own share, so that no picture moves between devices.
        local = x.reshape(mesh.size, pieces, -1, *x.shape[1:])
        cut = local.swapaxes(0, 1).reshape(pieces, -1, *x.shape[1:])
        spec = NamedSharding(mesh, PartitionSpec(None, BATCH_AXES))
        return jax.lax.with_sharding_constraint(cut, spec)

    def joined(x: Array) -> Array:
        return x.reshape(pieces, mesh.size, -1).swapaxes(0, 1).ravel()

    def of_piece(params: Params, piece: Batch, key: Array):
        value, measured, grads = gradients(params, piece, key)
        return (value, measured.means, grads), measured.losses

    def mean(params: Params, batch: Batch, key: Array):
        def add(total, piece):
            summands, losses = of_piece(params, piece, key)
            return jax.tree.map(jnp.add, total, summands), losses

        stacked = jax.tree.map(cut, batch)
        first = jax.tree.map(lambda x: x[0], stacked)
        shapes, _ = jax.eval_shape(of_piece, params, first, key)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        total, losses = jax.lax.scan(add, zeros, stacked)
        value, means, grads = jax.tree.map(lambda x: x / pieces, total)
        return value, Measured(means, joined(losses)), grads

    return mean
