"""The losses: one module each, and a registry by model family."""

from glide_jax.training.objectives.registry import OBJECTIVES, Objective, conditioning_of

__all__ = ["OBJECTIVES", "Objective", "conditioning_of"]
