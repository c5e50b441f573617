"""What an upsampler in training is shown of the picture that it enlarges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from glide_jax.training.denoising import denoising_loss, mean_blocks
from glide_jax.types import Condition

BATCH = 32


class Seen:
    """A model that says nothing, and keeps what it was told."""

    def __init__(self, config):
        self.config = config

    def encode(self, params, condition):
        self.condition = condition

    def apply(self, params, x_t, t, encoded, keys):
        return jnp.zeros_like(x_t)


def shown(noise):
    """(the pictures, the condition) of a batch."""
    overrides = (
        "model.image_size=16",
        "model.attention_resolutions=(8,)",
        "model.low_res_size=4",
        f"training.low_res_noise={noise}",
    )
    stage = tiny.experiment(*overrides).stages["base"]
    model = Seen(stage.model)
    loss = denoising_loss(model, stage, lambda batch, draw: Condition())
    image = jax.random.uniform(jax.random.key(0), (BATCH, 16, 16, 3), minval=-1)
    batch = {"image": image, "index": jnp.arange(BATCH), "t": jnp.full(BATCH, 3)}
    loss({}, batch | {"t_weight": jnp.ones(BATCH)}, jax.random.key(1))
    return image, model.condition


def test_the_low_res_picture_is_the_mean_over_blocks():
    image, condition = shown(0.0)
    means = np.asarray(image).reshape(BATCH, 4, 4, 4, 4, 3).mean((2, 4))
    np.testing.assert_allclose(condition.low_res, means, atol=1e-6)
    assert (condition.low_res_noise == 0).all()


def test_each_picture_has_noise_of_a_strength_of_its_own_that_is_told():
    image, condition = shown(0.5)
    noise = np.asarray(condition.low_res - mean_blocks(image, 4)).reshape(BATCH, -1)
    told = np.asarray(condition.low_res_noise)
    assert 0 <= told.min() < 0.1
    assert 0.4 < told.max() <= 0.5
    # Of 48 numbers: their spread is known to a tenth of itself.
    assert np.abs(noise.std(1) / told - 1).max() < 0.45
    assert (noise.std(1) / told).mean() == pytest.approx(1, abs=0.06)
