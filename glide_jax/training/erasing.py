"""What a model that learns to inpaint is shown: a picture with a box of it erased."""

import jax.numpy as jnp

from glide_jax.types import Array

_WHOLE = 0.2  # probability that a side is the whole picture's


def kept_outside_box(height: Array, width: Array, top: Array, left: Array, size: int) -> Array:
    """A mask of each picture, 0 in a box of random size and place (Nichol et al. 2021, sec. 4.3).

    The paper says that random regions are erased, not which. Here each side is the picture's own
    one time in five, and else of any number of pixels below: one picture in 25 is erased
    altogether, so that the model goes on drawing where nothing is known.

    Args:
        height, width: f32[b] in [0, 1), how large the box is.
        top, left: f32[b] in [0, 1), where it lies among the places it has.
        size: pixels a side of the picture.

    Returns:
        f32[b size size 1], 1 where the pixel is kept.
    """
    box = _inside(height, top, size)[:, :, None] & _inside(width, left, size)[:, None, :]
    return 1.0 - box[..., None].astype(jnp.float32)


def _inside(extent: Array, start: Array, size: int) -> Array:
    """bool[b size], a run of 1 to `size` pixels."""
    pixels = jnp.minimum(1 + jnp.floor(extent / (1 - _WHOLE) * (size - 1)), size)
    first = jnp.floor(start * (size - pixels + 1))
    place = jnp.arange(size)[None]
    return (place >= first[:, None]) & (place < (first + pixels)[:, None])
