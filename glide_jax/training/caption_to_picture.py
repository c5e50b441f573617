"""What the text transformer's lesson minimises: the error of pictures guessed from captions."""

import jax
import jax.numpy as jnp

from glide_jax.models.caption_guess import CaptionGuesser
from glide_jax.training.step import Batch, Loss, Measured
from glide_jax.types import Array, Params

_POOLED = 2.0  # weight of the error of what pooled shows: it learns later than the tokens
_AGREEMENT = 0.05  # weight of pooled's distance from what the tokens show
_SCALE = 0.05  # weight of pooled's variance being another than 1


def caption_to_picture_loss(model: CaptionGuesser) -> Loss:
    """The squared error of both guesses of a picture, and what pooled says otherwise than tokens.

    `disagreement` is the squared distance between what a patch shows by the pooled vector and by
    the tokens, over the variance of the latter; it teaches the pooled vector alone. That vector is
    held at a variance of 1 over captions: a U-Net hardly hears a fainter one beside the timestep.

    Args:
        model: as `caption_guess` makes it.
    """

    def loss(params: Params, batch: Batch, key: Array):
        del key  # nothing is drawn
        guess = model.apply(params, batch["tokens"], batch["mask"])
        of_pooled, of_tokens = jnp.square(guess.pictures - batch["image"][None]).mean((2, 3, 4))
        by_pooled, by_tokens = guess.shown[0], jax.lax.stop_gradient(guess.shown[1])
        # Each patch's own mean is no knowledge of a caption. At the start all are alike.
        spread = jnp.square(by_tokens - by_tokens.mean(0, keepdims=True)).mean() + 1e-6
        disagreement = jnp.square(by_pooled - by_tokens).mean((1, 2)) / spread
        variance = guess.pooled.var(0).mean()
        losses = _POOLED * of_pooled + of_tokens + _AGREEMENT * disagreement
        losses += _SCALE * jnp.square(variance - 1)
        means = {
            "mse_of_pooled": of_pooled.mean(),
            "mse_of_tokens": of_tokens.mean(),
            "disagreement": disagreement.mean(),
            "variance_of_pooled": variance,
        }
        return losses.mean(), Measured(means, losses)

    return loss
