"""AdamW (Loshchilov & Hutter 2019) with clipping, warm-up and, where asked, a cosine decay."""

import optax

from glide_jax.config import TrainingConfig


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
