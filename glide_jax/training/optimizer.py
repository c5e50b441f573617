"""The optimizer: gradients clipped, a direction found, weights decayed, and a learning rate."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import optax

from glide_jax.config import TrainingConfig
from glide_jax.training.muon import scale_by_muon
from glide_jax.training.packing import Packing
from glide_jax.types import Params

Direction = Callable[[Packing, Sequence[str]], optax.GradientTransformation]
"""(how gradients are packed, paths of weights that no update moves) → gradients to directions."""


def _adamw(packing: Packing, still: Sequence[str]) -> optax.GradientTransformation:
    return optax.scale_by_adam()


def _muon(packing: Packing, still: Sequence[str]) -> optax.GradientTransformation:
    # An embedding's rows are looked up, not multiplied by.
    matrices = {
        path
        for path, shape in packing.shapes.items()
        if len(shape) in (2, 4) and not path.endswith("_embedding")
    }
    return scale_by_muon(packing, matrices - set(still))


OPTIMIZERS: dict[str, Direction] = {"adamw": _adamw, "muon": _muon}
"""training.optimizer → AdamW (Loshchilov & Hutter 2019), or Muon (`training.muon`)."""


def learning_rate(config: TrainingConfig) -> optax.Schedule:
    """step → learning rate: linear warm-up, then constant or a half cosine to zero."""
    warmup = config.lr_warmup_steps
    if config.lr_decay == "cosine":
        return optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, warmup, max(config.num_steps, warmup + 1)
        )
    return optax.linear_schedule(0.0, config.learning_rate, warmup)


def make_optimizer(
    config: TrainingConfig, packing: Packing, still: Sequence[str] = ()
) -> optax.GradientTransformation:
    """The optimizer of packed gradients.

    Args:
        config: its kind, learning rate, decay, and the norm that gradients are clipped to.
        packing: how gradients are packed.
        still: paths of weights that no update moves, weight decay's included.
    """
    chain = [
        optax.clip_by_global_norm(config.clip_norm),
        OPTIMIZERS[config.optimizer](packing, still),
        optax.add_decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(learning_rate(config)),
    ]
    return optax.chain(*chain, *([_held_still(still, packing)] if still else []))


def _held_still(paths: Sequence[str], packing: Packing) -> optax.GradientTransformation:
    def update(updates: Any, params: Any = None) -> Params:
        del params
        by_path = packing.unpack(updates)
        return packing.pack(by_path | {path: jnp.zeros_like(by_path[path]) for path in paths})

    return optax.stateless(update)
