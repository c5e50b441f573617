"""The optimizer: gradient clipping, a direction, weight decay and a learning rate, chained."""

from collections.abc import Callable
from typing import Any

import optax

from glide_jax.config import TrainingConfig
from glide_jax.training.muon import scale_by_muon
from glide_jax.training.packing import Packing
from glide_jax.types import Params

MakeDirection = Callable[[Packing], optax.GradientTransformation]
"""How gradients are packed → a transformation of packed gradients into directions."""


def adamw(packing: Packing) -> optax.GradientTransformation:
    """Adam's direction; with decoupled weight decay it is AdamW (Loshchilov & Hutter 2019).

    Args:
        packing: of no influence, as Adam works element by element.
    """
    del packing
    return optax.scale_by_adam()


def muon(packing: Packing) -> optax.GradientTransformation:
    """Muon's direction for matrices and convolution kernels, a scaled Adam's for everything else.

    Args:
        packing: how gradients are packed. Embeddings are no matrices here: their rows are looked
            up, not multiplied by.
    """
    matrices = {
        path
        for path, shape in packing.shapes.items()
        if len(shape) in (2, 4) and not path.endswith("_embedding")
    }
    return scale_by_muon(packing, matrices)


OPTIMIZERS: dict[str, MakeDirection] = {"adamw": adamw, "muon": muon}
"""Name in `training.optimizer` → what makes its direction."""


def learning_rate(config: TrainingConfig) -> optax.Schedule:
    """step → learning rate: linear warm-up, then constant or a half cosine to zero."""
    warmup = config.lr_warmup_steps
    if config.lr_decay == "cosine":
        return optax.warmup_cosine_decay_schedule(
            0.0, config.learning_rate, warmup, max(config.num_steps, warmup + 1)
        )
    return optax.linear_schedule(0.0, config.learning_rate, warmup)


def decayed_weights(weight_decay: float) -> optax.GradientTransformation:
    """Add so much of the weights to the directions, except of scalars.

    A scalar is CLIP's scale: zero would be no scale (Radford et al. 2021, sec. 2.5).
    """

    def decayed(updates: Any, params: Any) -> Params:
        return {
            path: update + weight_decay * params[path] if update.ndim else update
            for path, update in updates.items()
        }

    return optax.stateless(decayed)


def make_optimizer(config: TrainingConfig, packing: Packing) -> optax.GradientTransformation:
    """A transformation of packed gradients into updates.

    Args:
        config: which optimizer, learning rate, weight decay, and the norm gradients are clipped to.
        packing: how gradients are packed.
    """
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        OPTIMIZERS[config.optimizer](packing),
        decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(learning_rate(config)),
    )
