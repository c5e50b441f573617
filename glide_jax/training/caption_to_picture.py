"""What the text transformer's lesson minimises: the error of pictures guessed from captions."""

import jax.numpy as jnp

from glide_jax.models.model import Model
from glide_jax.training.step import Batch, Loss, Measured
from glide_jax.types import Array, Condition, Params


def caption_to_picture_loss(model: Model) -> Loss:
    """The mean squared error of both guesses of a picture, summed.

    Args:
        model: as `caption_guess` makes it.
    """

    def loss(params: Params, batch: Batch, key: Array):
        del key  # nothing is drawn
        x_0 = batch["image"]
        encoded = model.encode(params, Condition(tokens=batch["tokens"], mask=batch["mask"]))
        guesses = model.apply(params, x_0, jnp.zeros(len(x_0), jnp.int32), encoded)
        of_pooled, of_tokens = jnp.square(guesses - x_0[None]).mean((2, 3, 4))
        means = {"mse_of_pooled": of_pooled.mean(), "mse_of_tokens": of_tokens.mean()}
        losses = of_pooled + of_tokens
        return losses.mean(), Measured(means, losses)

    return loss
