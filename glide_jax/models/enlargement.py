"""How an upsampler's low-res image is enlarged to the size of x_t, bilinearly."""

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.types import Array


def half_pixel(low_res: Array, height: int, width: int) -> Array:
    """Pixels are squares: the centre of the first is half a pixel from the edge.

    Args:
        low_res: f32[b h w c].
        height: of the result, h or more.
        width: of the result, w or more.

    Returns:
        f32[b height width c].
    """
    b, _, _, c = low_res.shape
    return jax.image.resize(low_res, (b, height, width, c), "bilinear")


def align_corners(low_res: Array, height: int, width: int) -> Array:
    """Pixels are points: the corners of both images are the same, as in DeepFloyd IF.

    Args and returns: as `half_pixel`.
    """
    # In full precision on a TPU too, whose products are of bfloat16 otherwise.
    precision = jax.lax.Precision.HIGHEST
    rows, columns = _weights(low_res.shape[1], height), _weights(low_res.shape[2], width)
    tall = jnp.einsum("Hh,bhwc->bHwc", rows, low_res, precision=precision)
    return jnp.einsum("Ww,bHwc->bHWc", columns, tall, precision=precision)


def _weights(size: int, larger: int) -> np.ndarray:
    """f32[larger size]: each new point as a mixture of the two old ones beside it."""
    places = np.linspace(0, size - 1, larger)
    distances = np.abs(places[:, None] - np.arange(size)[None])
    return np.maximum(1 - distances, 0).astype(np.float32)


ENLARGEMENTS = {"half_pixel": half_pixel, "align_corners": align_corners}
"""`ImagenConfig.enlargement` → the function."""
