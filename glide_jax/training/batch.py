"""The arrays of a training batch; nowhere else are they described.

From the input pipeline:

    image           f32[b s s 3] in [-1, 1]
    tokens, mask    i32[b l], bool[b l]: the caption, where the model reads captions;
    text_embedding  bf16[b l d], in place of tokens where it reads a frozen encoder's embeddings
    label           i32[b]: the class, where the model knows classes

Added inside the train step, before the loss:

    index           i32[b], each image's position in the global batch. Its random numbers depend on
                    it (`ExampleRng`), and so not on how the batch is split.
    t               i32[b], the timestep that each image is noised to; -1: not noised
    t_weight        f32[b], the weight of its loss, as `diffusion.timesteps` sampled t
"""

import jax
import numpy as np

from glide_jax.data.conditioning import Conditioning
from glide_jax.models.model import IMAGE_CHANNELS
from glide_jax.types import Array

Batch = dict[str, Array]
"""Name → array, as listed above."""

BatchShapes = dict[str, jax.ShapeDtypeStruct]
"""Name → shape and dtype."""


def pipeline_shapes(image_size: int, conditioning: Conditioning, count: int) -> BatchShapes:
    """The shapes of a batch as the input pipeline returns it.

    Args:
        image_size: s, pixels a side.
        conditioning: what the batch holds beside images.
        count: b, number of images.
    """
    example = conditioning((("",), 0), np.random.default_rng(0))
    example |= {"image": np.zeros((image_size, image_size, IMAGE_CHANNELS), np.float32)}
    return _stacked(example, count)


def step_shapes(image_size: int, conditioning: Conditioning, count: int) -> BatchShapes:
    """The shapes of a batch as a loss receives it; see `pipeline_shapes` for the arguments."""
    added = {"index": np.int32(0), "t": np.int32(0), "t_weight": np.float32(1)}
    return pipeline_shapes(image_size, conditioning, count) | _stacked(added, count)


def _stacked(example: dict, count: int) -> BatchShapes:
    return {
        name: jax.ShapeDtypeStruct((count, *np.shape(x)), np.asarray(x).dtype)
        for name, x in example.items()
    }
