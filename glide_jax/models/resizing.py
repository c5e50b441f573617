"""The two ways in which feature nets have their images resized; figures of the two differ.

Both interpolate linearly between neighbours, and differ in where a pixel of the result lies:

    tensorflow   source = destination · in / out                    TensorFlow 1's resize_bilinear
    half_pixel   source = (destination + ½) · in / out − ½          PyTorch's, align_corners=False

Neither smooths what it makes smaller.
"""

import jax.numpy as jnp
import numpy as np

from glide_jax.types import Array


def tensorflow(images: Array, size: int) -> Array:
    """TensorFlow 1's: the first pixel stays, and the last ones repeat the edge.

    Args:
        images: [b h w c], of any dtype.
        size: s, of the result.

    Returns:
        f32[b s s c].
    """
    return _resize(images, [np.arange(size) * (n / size) for n in images.shape[1:3]])


def half_pixel(images: Array, size: int) -> Array:
    """PyTorch's: the edges of both images coincide; arguments as for `tensorflow`."""
    return _resize(images, [(np.arange(size) + 0.5) * (n / size) - 0.5 for n in images.shape[1:3]])


def _resize(images: Array, sources: list[np.ndarray]) -> Array:
    """Interpolate at the sources, in pixels along h and w; those outside are at the edge."""
    x = images.astype(jnp.float32)
    for axis, source in enumerate(sources, 1):
        last = images.shape[axis] - 1
        source = np.clip(source, 0, last)
        low = np.floor(source).astype(np.int32)
        share = np.expand_dims(
            (source - low).astype(np.float32), tuple(a for a in range(4) if a != axis)
        )
        first, second = (jnp.take(x, i, axis=axis) for i in (low, np.minimum(low + 1, last)))
        x = first + (second - first) * share
    return x
