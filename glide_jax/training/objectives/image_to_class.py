"""The loss of a noisy classifier: the class of a noised image."""

import jax.numpy as jnp
import optax

from glide_jax.config import StageConfig
from glide_jax.models.classifier import Classifier
from glide_jax.training.batch import Batch
from glide_jax.training.example_rng import ExampleRng
from glide_jax.training.objectives.denoising import noising
from glide_jax.training.objectives.loss import Loss, LossAux
from glide_jax.types import Array, Params


def image_to_class_loss(model: Classifier, stage: StageConfig) -> Loss:
    """-log p(y | x_t, t) at random t (Dhariwal & Nichol 2021, sec. 4.3).

    Metric: `accuracy`, the share of noised images whose own class is the most likely.

    Args:
        model: the classifier to train.
        stage: its noising process, which must be that of the model it will guide.
    """
    noised = noising(stage)

    def loss(params: Params, batch: Batch, key: Array):
        rng = ExampleRng(key, batch["index"])
        label, t_weight = batch["label"], batch["t_weight"]
        logits = model.apply(params, noised(batch, rng), batch["t"], rng.keys("dropout"))
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, label)
        is_right = (logits.argmax(-1) == label).astype(jnp.float32)
        aux = LossAux({"accuracy": (t_weight * is_right).mean()}, losses)
        return (t_weight * losses).mean(), aux

    return loss
