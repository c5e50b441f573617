"""The optimizer: gradients clipped, a direction found, weights decayed, and a learning rate."""

from collections.abc import Callable

import optax

from glide_jax.config import TrainingConfig
from glide_jax.training.muon import scale_by_muon
from glide_jax.training.packing import Packing

Direction = Callable[[Packing], optax.GradientTransformation]
"""How gradients are packed → from gradients to directions."""


def _adamw(_: Packing) -> optax.GradientTransformation:
    return optax.scale_by_adam()


def _muon(packing: Packing) -> optax.GradientTransformation:
    # An embedding's rows are looked up, not multiplied by.
    matrices = {
        path
        for path, shape in packing.shapes.items()
        if len(shape) in (2, 4) and not path.endswith("_embedding")
    }
    return scale_by_muon(packing, matrices)


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


def make_optimizer(config: TrainingConfig, packing: Packing) -> optax.GradientTransformation:
    """The optimizer of packed gradients.

    Args:
        config: its kind, learning rate, decay, and the norm that gradients are clipped to.
        packing: how gradients are packed.
    """
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        OPTIMIZERS[config.optimizer](packing),
        optax.add_decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(learning_rate(config)),
    )
