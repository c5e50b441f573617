"""The loss of a noised CLIP: which caption of the batch belongs to a noised image."""

import jax.numpy as jnp
import optax

from glide_jax.config import StageConfig
from glide_jax.models.clip import Clip, direction
from glide_jax.parallel.mesh import global_batch, indices_in_batch
from glide_jax.training.batch import Batch
from glide_jax.training.example_rng import ExampleRng
from glide_jax.training.objectives.denoising import noising
from glide_jax.training.objectives.loss import Loss, LossAux
from glide_jax.types import Array, Params


def image_to_text_loss(model: Clip, stage: StageConfig) -> Loss:
    """The symmetric contrastive loss over the global batch, on noised images.

    Radford et al. 2021, fig. 3, with images noised to a random t (Nichol et al. 2021, sec. 4.4):

        s = logit_scale · cosine(f(x_t, t), g(c));  loss = (CE over captions + CE over images) / 2

    Each image is compared with the captions of all devices, and each caption with their images.
    Metrics: `accuracy`, the share of images whose own caption has the largest s; `logit_scale`.

    Args:
        model: the CLIP to train.
        stage: its noising process, which must be that of the model it will guide.
    """
    noised = noising(stage)
    cross_entropy = optax.softmax_cross_entropy_with_integer_labels

    def loss(params: Params, batch: Batch, key: Array):
        rng, t_weight = ExampleRng(key, batch["index"]), batch["t_weight"]
        image = direction(model.encode_image(params, noised(batch, rng), batch["t"]))
        text = direction(model.encode_text(params, batch["tokens"], batch["mask"]))
        scale, own = model.logit_scale(params), indices_in_batch(len(image))
        over_captions = scale * image @ global_batch(text).T
        over_images = scale * text @ global_batch(image).T
        losses = (cross_entropy(over_captions, own) + cross_entropy(over_images, own)) / 2
        is_right = (over_captions.argmax(-1) == own).astype(jnp.float32)
        means = {"accuracy": (t_weight * is_right).mean(), "logit_scale": scale}
        aux = LossAux(means, losses)
        return (t_weight * losses).mean(), aux

    return loss
