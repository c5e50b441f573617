"""What a noisy classifier minimises: which class a noised picture is of."""

import jax
import jax.numpy as jnp

from glide_jax.config import StageConfig
from glide_jax.models.classifier import Classifier
from glide_jax.training.denoising import noising
from glide_jax.training.draws import Draws
from glide_jax.training.step import Batch, Loss, Measured
from glide_jax.types import Array, Params


def image_to_class_loss(model: Classifier, stage: StageConfig) -> Loss:
    """-log p(y | x_t, t), t random, with the noise that its base model has.

    Dhariwal & Nichol 2021, sec. 4.3. Also measured: `accuracy`, the share of noised pictures whose
    class is the likeliest.

    Args:
        model: what to train.
        stage: its noising process.
    """
    noised = noising(stage)

    def loss(params: Params, batch: Batch, key: Array):
        draw = Draws(key, batch["index"])
        t, label = batch["t"], batch["label"]
        logits = model.apply(params, noised(batch, draw), t, draw.keys("dropout"))
        logs = jax.nn.log_softmax(logits)
        losses = -jnp.take_along_axis(logs, label[:, None], axis=1)[:, 0]
        right = (logits.argmax(-1) == label).astype(jnp.float32)
        accuracy = (batch["t_weight"] * right).mean()
        return (batch["t_weight"] * losses).mean(), Measured({"accuracy": accuracy}, losses)

    return loss
