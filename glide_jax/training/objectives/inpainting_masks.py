"""Random masks for training a model to inpaint."""

import jax.numpy as jnp

from glide_jax.types import Array

_FULL_SIDE = 0.2  # probability that a side of the box is as long as the image's


def kept_outside_box(height: Array, width: Array, top: Array, left: Array, size: int) -> Array:
    """A mask for each image, 0 in a box of random size and place (Nichol et al. 2021, sec. 4.3).

    The paper erases random regions without saying which. Here each side of the box is as long as
    the image's with probability 1/5, and else uniform between 1 and `size` pixels: one image in 25
    is erased completely, so that the model still learns to generate complete images.

    Args:
        height, width: f32[b] in [0, 1), which decide the size of the box.
        top, left: f32[b] in [0, 1), which decide its place among those where it fits.
        size: pixels a side of the image.

    Returns:
        f32[b size size 1], 1 where the pixel is kept.
    """
    box = _inside(height, top, size)[:, :, None] & _inside(width, left, size)[:, None, :]
    return 1.0 - box[..., None].astype(jnp.float32)


def _inside(extent: Array, start: Array, size: int) -> Array:
    """bool[b size], a run of 1 to `size` pixels."""
    pixels = jnp.minimum(1 + jnp.floor(extent / (1 - _FULL_SIDE) * (size - 1)), size)
    first = jnp.floor(start * (size - pixels + 1))
    place = jnp.arange(size)[None]
    return (place >= first[:, None]) & (place < (first + pixels)[:, None])
