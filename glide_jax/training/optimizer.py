"""AdamW (Loshchilov & Hutter 2019) with clipping, warm-up and, where asked, a cosine decay."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import optax

from glide_jax.config import TrainingConfig
from glide_jax.training.packing import Packing
from glide_jax.types import Params


def learning_rate(config: TrainingConfig) -> optax.Schedule:
    """step → learning rate: linear warm-up, then constant or a half cosine to zero."""
    warmup = config.lr_warmup_steps
    if config.lr_decay == "cosine":
        return optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, warmup, max(config.num_steps, warmup + 1)
        )
    return optax.linear_schedule(0.0, config.learning_rate, warmup)


def adamw(config: TrainingConfig) -> optax.GradientTransformation:
    """The optimizer: gradients clipped by their global norm, then AdamW."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(learning_rate(config), weight_decay=config.weight_decay),
    )


def held_still(paths: Sequence[str], packing: Packing) -> optax.GradientTransformation:
    """Weights that no update moves, weight decay's included; goes behind the optimizer.

    Args:
        paths: of those weights.
        packing: how updates are packed.
    """

    def update(updates: Any, params: Any = None) -> Params:
        del params
        by_path = packing.unpack(updates)
        return packing.pack(by_path | {path: jnp.zeros_like(by_path[path]) for path in paths})

    return optax.stateless(update)
