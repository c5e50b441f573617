"""A pipeline that is traced in no time, a feature net of a few numbers, and sets of images."""

import numpy as np
import tiny
from models.model_toys import filled

from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.stages import make_stage


def experiment(*overrides):
    return tiny.experiment("stages.base.sampling.guidance_scale=1", *overrides)


def stage(*overrides):
    """8×8 by two steps, of a model of two matrices: it takes captions, and ignores them."""
    whole = experiment("stages.base.sampling.steps='2'", *overrides)
    model = tiny.linear(whole)
    config = whole.first_stage
    return make_stage("base", config, model, filled(model.shapes), tiny.reader(), step=7)


def pipeline(*overrides):
    return Pipeline((stage(*overrides),))


def images(count, size=8, seed=0, name="some"):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)
    return image_set_of(pixels, name)
