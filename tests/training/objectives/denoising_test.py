"""The low-res image that an upsampler is conditioned on in training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from glide_jax.diffusion.schedule import BETAS
from glide_jax.models.enlargement import half_pixel
from glide_jax.training.objectives.denoising import denoising_loss, mean_blocks
from glide_jax.types import Condition

BATCH = 32


class Seen:
    """A model that predicts 0 and keeps its condition."""

    def __init__(self, config, enlarge):
        self.config, self.enlarge = config, enlarge

    def encode(self, params, condition):
        self.condition = condition

    def apply(self, params, x_t, t, encoded, keys):
        return jnp.zeros_like(x_t)


def shown(noise, enlarge=None):
    """(the images, the condition) of a batch; `enlarge` as in `Model`."""
    overrides = (
        "stages.base.model.image_size=16",
        "stages.base.model.low_res_size=4",
        f"stages.base.training.max_aug_level={noise}",
    )
    stage = tiny.experiment(*overrides).stages["base"]
    model = Seen(stage.model, enlarge)
    loss = denoising_loss(model, stage, lambda batch, rng: Condition())
    image = jax.random.uniform(jax.random.key(0), (BATCH, 16, 16, 3), minval=-1)
    batch = {"image": image, "index": jnp.arange(BATCH), "t": jnp.full(BATCH, 3)}
    loss({}, batch | {"t_weight": jnp.ones(BATCH)}, jax.random.key(1))
    return image, model.condition


@pytest.mark.newest
def test_the_low_res_image_is_the_mean_over_blocks():
    image, condition = shown(0.0)
    means = np.asarray(image).reshape(BATCH, 4, 4, 4, 4, 3).mean((2, 4))
    np.testing.assert_allclose(condition.low_res, means, atol=1e-6)
    assert (condition.aug_level == 0).all()


def test_each_image_has_noise_of_its_own_aug_level_which_the_model_receives():
    image, condition = shown(0.5)
    noise = np.asarray(condition.low_res - mean_blocks(image, 4)).reshape(BATCH, -1)
    level = np.asarray(condition.aug_level)
    assert 0 <= level.min() < 0.1
    assert 0.4 < level.max() <= 0.5
    # Of 48 numbers: their spread is known to a tenth of itself.
    assert np.abs(noise.std(1) / level - 1).max() < 0.45
    assert (noise.std(1) / level).mean() == pytest.approx(1, abs=0.06)


def test_a_model_that_wants_it_gets_the_low_res_image_enlarged_before_the_noise():
    image, condition = shown(1.0, lambda low_res: half_pixel(low_res, 16, 16))
    enlarged = np.asarray(half_pixel(mean_blocks(image, 4), 16, 16))
    level = np.asarray(condition.aug_level)
    alpha_bar = np.cumprod(1 - BETAS["squared_cosine"](1000))
    alpha_bar = alpha_bar[np.rint(1000 * level).astype(int)].reshape(BATCH, 1, 1, 1)
    noise = (np.asarray(condition.low_res) - np.sqrt(alpha_bar) * enlarged) / np.sqrt(1 - alpha_bar)
    assert level.max() > 0.9
    # Of 768 numbers each: white, and apart from the image.
    assert np.abs(noise.reshape(BATCH, -1).std(1) - 1).max() < 0.12
    assert np.abs((noise * enlarged).mean()) < 0.02
