"""What ADM's stages minimise: a picture told by its class, or by nothing."""

from glide_jax.config import StageConfig
from glide_jax.models.model import Model
from glide_jax.training.denoising import denoising_loss
from glide_jax.training.draws import Draws
from glide_jax.training.step import Batch, Loss
from glide_jax.types import Condition


def class_to_image_loss(model: Model, stage: StageConfig) -> Loss:
    """The loss of a class-conditional model (Dhariwal & Nichol 2021, sec. 3), or of one of nothing.

    Args:
        model: what to train.
        stage: its noising process; its variance is learned with `diffusion.vlb_weight` above 0.
    """

    def says(batch: Batch, draw: Draws) -> Condition:
        del draw  # the class is never dropped: what guides it is a classifier
        return Condition(label=batch.get("label"))

    return denoising_loss(model, stage, says)
