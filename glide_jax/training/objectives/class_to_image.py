"""The loss of ADM's stages: images conditioned on their class, or on nothing."""

from glide_jax.config import DenoiserStageConfig
from glide_jax.models.model import Model
from glide_jax.training.batch import Batch
from glide_jax.training.example_rng import ExampleRng
from glide_jax.training.objectives.denoising import denoising_loss
from glide_jax.training.objectives.loss import Loss
from glide_jax.types import Condition


def class_to_image_loss(model: Model, stage: DenoiserStageConfig) -> Loss:
    """The loss of a class-conditional (Dhariwal & Nichol 2021, sec. 3) or unconditional model.

    Args:
        model: the model to train; without classes its batches hold no `label`.
        stage: its noising process; the variance is learned where `diffusion.vlb_weight` > 0.
    """
    return denoising_loss(model, stage, class_condition)


def class_condition(batch: Batch, rng: ExampleRng) -> Condition:
    """The class, which is never dropped: a classifier guides these models."""
    del rng
    return Condition(label=batch.get("label"))
