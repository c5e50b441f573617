"""The loss of a model that an adapter changes."""

from glide_jax.models.lora import Lora
from glide_jax.training.batch import Batch
from glide_jax.training.objectives.loss import Loss, LossAux
from glide_jax.types import Array, Params


def adapted_loss(loss: Loss, adapter: Lora) -> Loss:
    """A loss of the base's weights and an adapter's arrays, in one dict.

    Args:
        loss: of the model's weights.
        adapter: makes them of both.
    """

    def of_both(params: Params, batch: Batch, key: Array) -> tuple[Array, LossAux]:
        return loss(adapter.merge(params), batch, key)

    return of_both
