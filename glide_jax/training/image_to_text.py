"""What a noised CLIP minimises: which of a batch's captions a noised picture is of."""

import jax
import jax.numpy as jnp

from glide_jax.config import StageConfig
from glide_jax.models.clip import Clip, direction
from glide_jax.parallel.mesh import place_in_batch, whole_batch
from glide_jax.training.denoising import noising
from glide_jax.training.draws import Draws
from glide_jax.training.step import Batch, Loss, Measured
from glide_jax.types import Array, Params


def image_to_text_loss(model: Clip, stage: StageConfig) -> Loss:
    """The mean cross-entropy of a picture's caption and of a caption's picture, in the whole batch.

    Radford et al. 2021, fig. 3, on pictures noised to a random t (Nichol et al. 2021, sec. 4.4):

        s = logit_scale · cosine(f(x_t, t), g(c));  loss = (CE over captions + CE over pictures) / 2

    Each picture is held against the captions of all devices, and each caption against their
    pictures. Also measured: `accuracy`, the share of pictures whose own caption is the nearest.

    Args:
        model: what to train.
        stage: its noising process.
    """
    noised = noising(stage)

    def loss(params: Params, batch: Batch, key: Array):
        draw = Draws(key, batch["index"])
        image = direction(model.encode_image(params, noised(batch, draw), batch["t"]))
        text = direction(model.encode_text(params, batch["tokens"], batch["mask"]))
        scale, own = model.config.logit_scale, place_in_batch(len(image))
        captions = scale * image @ whole_batch(text).T
        pictures = scale * text @ whole_batch(image).T
        losses = (_cross_entropy(captions, own) + _cross_entropy(pictures, own)) / 2
        right = (captions.argmax(-1) == own).astype(jnp.float32)
        accuracy = (batch["t_weight"] * right).mean()
        return (batch["t_weight"] * losses).mean(), Measured({"accuracy": accuracy}, losses)

    return loss


def _cross_entropy(logits: Array, own: Array) -> Array:
    """f32[b n], i32[b] → f32[b]."""
    logs = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logs, own[:, None], axis=1)[:, 0]
