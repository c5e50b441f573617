"""The loss of text-encoder pretraining: the error of small images predicted from captions."""

import jax
import jax.numpy as jnp

from glide_jax.models.caption_guesser import CaptionGuesser
from glide_jax.parallel.mesh import global_batch
from glide_jax.training.batch import Batch
from glide_jax.training.objectives.loss import Loss, LossAux
from glide_jax.types import Array, Condition, Params

_CAPTION = {"tokens", "text_embedding", "mask"}
_POOLED_WEIGHT = 2.0  # of the pooled vector's prediction: it learns later than the tokens'
_AGREEMENT_WEIGHT = 0.05  # of the disagreement between the two predictions' features
_VARIANCE_WEIGHT = 0.05  # of the pooled vector's variance being other than 1


def text_pretraining_loss(model: CaptionGuesser) -> Loss:
    """The squared error of the image predicted from the pooled vector and of that from the tokens.

    `disagreement` is the squared distance between a patch's features by the pooled vector and by
    the tokens, over the variance of the latter; its gradient reaches the pooled vector alone. That
    vector's variance over captions is kept near 1: beside the timestep embedding a U-Net hardly
    notices a smaller one. Both variances are over the global batch.

    Args:
        model: as `caption_guesser` makes it.
    """

    def loss(params: Params, batch: Batch, key: Array):
        del key  # nothing is random
        caption = Condition(**{name: batch[name] for name in _CAPTION & {*batch}})
        guess = model.apply(params, caption)
        of_pooled, of_tokens = jnp.square(guess.images - batch["image"][None]).mean((2, 3, 4))
        by_pooled, by_tokens = guess.patch_features
        by_tokens = jax.lax.stop_gradient(by_tokens)
        # A patch's own mean carries nothing of the caption. At the start all captions look alike.
        spread = global_batch(by_tokens).var(0).mean() + 1e-6
        disagreement = jnp.square(by_pooled - by_tokens).mean((1, 2)) / spread
        variance = global_batch(guess.pooled).var(0).mean()
        losses = _POOLED_WEIGHT * of_pooled + of_tokens + _AGREEMENT_WEIGHT * disagreement
        losses += _VARIANCE_WEIGHT * jnp.square(variance - 1)
        means = {
            "mse_of_pooled": of_pooled.mean(),
            "mse_of_tokens": of_tokens.mean(),
            "disagreement": disagreement.mean(),
            "variance_of_pooled": variance,
        }
        return losses.mean(), LossAux(means, losses)

    return loss
