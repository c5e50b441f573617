"""The train step: loss → gradients → optimizer → moving average; jitted, its state donated."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from glide_jax.config import TrainingConfig
from glide_jax.diffusion.timesteps import Timesteps
from glide_jax.parallel.mesh import (
    BATCH_AXES,
    Shaped,
    batch_sharding,
    replicated,
    weight_sharding,
)
from glide_jax.training.batch import Batch
from glide_jax.training.example_rng import ExampleRng
from glide_jax.training.monitoring.quartiles import quartile_sums
from glide_jax.training.objectives.loss import Loss, LossAux
from glide_jax.training.packing import Packing
from glide_jax.training.state import TrainState, state_sharding
from glide_jax.types import Array, Params

Gradients = Callable[[Params, Batch, Array], tuple[Array, LossAux, Params]]
"""A loss's arguments → its value, its aux, and the packed gradients of the trainable weights."""

TrainStep = Callable[..., tuple[TrainState, dict[str, Array]]]
"""(state, batch, PRNG key of the run) → (state, metrics), jitted; with a base that is a fourth
argument."""


def train_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    packing: Packing,
    timesteps: Timesteps,
    config: TrainingConfig,
    mesh: Mesh,
    state: TrainState,
    base: Mapping[str, Shaped] | None = None,
) -> TrainStep:
    """The train step on this mesh.

    Args:
        loss: what to minimise.
        optimizer: an optax transformation of packed gradients.
        packing: how they are packed; the weights that it leaves out are frozen.
        timesteps: how the timesteps that images are noised to are sampled.
        config: batch and microbatch size, EMA.
        mesh: the devices.
        state: an example of the state (arrays or shapes), for its shardings.
        base: the weights (arrays or shapes) that an adapter changes; None: there is no adapter.

    Returns:
        See TrainStep; `state` is donated. The key is folded with the step's number inside. Where
        the loss or a gradient is not finite, the step is counted and nothing else of the state
        changes; `skipped` is then True. Metrics are f32[] each, but for `quartiles`: f32[4 2], as
        `quartile_sums` returns it.
    """
    microbatches = num_microbatches(config, mesh.size)
    by_device = mesh.size > 1 and mesh.shape["fsdp"] == 1
    shardings, everywhere = state_sharding(mesh, state), replicated(mesh)
    gradients = _gradients(loss, packing, None if by_device else shardings.params)
    mean_gradients = gradients
    if microbatches > 1:
        over = None if by_device else mesh
        mean_gradients = _over_microbatches(gradients, microbatches, over)
    if by_device:
        mean_gradients = _by_device(mean_gradients, mesh)

    def step(state: TrainState, batch: Batch, seed_key: Array, base: Params | None = None):
        key = jax.random.fold_in(seed_key, state.step)
        index = jnp.arange(config.batch_size)
        t, t_weight = timesteps.sample(state.timesteps, ExampleRng(key, index).keys("t"))
        batch = batch | {"index": index, "t": t, "t_weight": t_weight}
        value, aux, grads = mean_gradients(state.params | (base or {}), batch, key)
        memory = timesteps.update(state.timesteps, t, aux.per_example_losses)
        params, ema_params = packing.pack(state.params), packing.pack(state.ema_params)
        updates, opt_state = optimizer.update(grads, state.opt_state, params)
        grad_norm = optax.tree.norm(grads)
        is_finite = jnp.isfinite(value) & jnp.isfinite(grad_norm)
        before = params, ema_params, state.opt_state, state.timesteps
        params: Any = optax.apply_updates(params, updates)
        # Early on the average follows closely: short runs would else keep their initial weights.
        decay = jnp.minimum(config.ema_decay, (1 + state.step) / (10 + state.step))
        ema_params: Any = jax.tree.map(lambda m, p: m + (1 - decay) * (p - m), ema_params, params)
        # A value that is not finite would stay in the moments for good.
        after = params, ema_params, opt_state, memory
        params, ema_params, opt_state, memory = jax.tree.map(
            lambda new, old: jnp.where(is_finite, new, old), after, before
        )
        metrics = aux.means | {"loss": value, "grad_norm": grad_norm, "skipped": ~is_finite}
        metrics["quartiles"] = quartile_sums(aux.per_example_losses, t, timesteps.num_steps)
        params = state.params | packing.unpack(params)
        ema_params = state.ema_params | packing.unpack(ema_params)
        return TrainState(state.step + 1, params, ema_params, opt_state, memory), metrics

    of_base = () if base is None else (weight_sharding(mesh, base),)
    return jax.jit(
        step,
        in_shardings=(shardings, batch_sharding(mesh), everywhere, *of_base),
        out_shardings=(shardings, everywhere),
        donate_argnums=0,
    )


def num_microbatches(config: TrainingConfig, devices: int) -> int:
    """Number of microbatches in a batch. `microbatch_size` counts a device's images; 0: all."""
    per_device = config.batch_size // devices
    return per_device // config.microbatch_size if config.microbatch_size else 1


def _gradients(loss: Loss, packing: Packing, shardings: Mapping[str, Any] | None) -> Gradients:
    """Those of a loss.

    Args:
        loss: what to minimise.
        packing: how they are packed.
        shardings: path → sharding of the weight, and of its gradient; None: all of this is done on
            each device by itself.
    """

    def gradients(params: Params, batch: Batch, key: Array):
        def of_trainable(trainable: Params):
            return loss(params | trainable, batch, key)

        of_value_and_grad = jax.value_and_grad(of_trainable, has_aux=True)
        (value, aux), grads = of_value_and_grad(packing.trainable(params))
        if shardings is not None:
            # Left to itself, the partitioner of jax 0.7 splits small ones unevenly, and then moves
            # elements to wrong places when they are packed.
            placed = {path: shardings[path] for path in grads}
            grads = jax.lax.with_sharding_constraint(grads, placed)
        return value, aux, packing.pack(grads)

    return gradients


def _by_device(gradients: Gradients, mesh: Mesh) -> Gradients:
    """The mean over devices that hold all weights each and process their own images.

    The devices then synchronise once for each array of packed gradients. XLA's partitioner would
    synchronise once for each array of the model, hundreds of times, which is slow on a CPU; and of
    several microbatches after each.
    """

    def mean(params: Params, batch: Batch, key: Array):
        value, aux, grads = gradients(params, batch, key)
        means = value, aux.means, grads
        value, means, grads = jax.lax.pmean(means, BATCH_AXES)
        return value, LossAux(means, aux.per_example_losses), grads

    nowhere, over_batch = PartitionSpec(), PartitionSpec(BATCH_AXES)
    specs = {
        "in_specs": (nowhere, over_batch, nowhere),
        "out_specs": (nowhere, LossAux(nowhere, over_batch), nowhere),  # pyright: ignore
    }
    return jax.shard_map(mean, mesh=mesh, check_vma=False, **specs)


def _over_microbatches(gradients: Gradients, microbatches: int, mesh: Mesh | None) -> Gradients:
    """The mean over microbatches, one at a time in memory.

    Args:
        gradients: of one.
        microbatches: how many.
        mesh: of the devices that share the batch; None: the batch is one device's.
    """
    devices = 1 if mesh is None else mesh.size

    def split(x: Array) -> Array:
        # Each device splits its own share, so that no image moves between devices.
        local = x.reshape(devices, microbatches, -1, *x.shape[1:])
        stacked = local.swapaxes(0, 1).reshape(microbatches, -1, *x.shape[1:])
        if mesh is None:
            return stacked
        spec = NamedSharding(mesh, PartitionSpec(None, mesh.axis_names))
        return jax.lax.with_sharding_constraint(stacked, spec)

    def joined(x: Array) -> Array:
        return x.reshape(microbatches, devices, -1).swapaxes(0, 1).ravel()

    def of_microbatch(params: Params, microbatch: Batch, key: Array):
        value, aux, grads = gradients(params, microbatch, key)
        return (value, aux.means, grads), aux.per_example_losses

    def mean(params: Params, batch: Batch, key: Array):
        def add(total, microbatch):
            summands, losses = of_microbatch(params, microbatch, key)
            return jax.tree.map(jnp.add, total, summands), losses

        stacked = jax.tree.map(split, batch)
        first = jax.tree.map(lambda x: x[0], stacked)
        shapes, _ = jax.eval_shape(of_microbatch, params, first, key)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        total, losses = jax.lax.scan(add, zeros, stacked)
        value, means, grads = jax.tree.map(lambda x: x / microbatches, total)
        return value, LossAux(means, joined(losses)), grads

    return mean
