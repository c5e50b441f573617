"""Convolutions and maxima of any size, stride and padding as a CPU computes them fastest.

They are for networks that are only applied, to images of odd sizes too: Inception's are 149, 147,
73, 35 and 17 pixels wide.
"""

import jax
import jax.numpy as jnp

from glide_jax.models.cpu.convolution import winograd
from glide_jax.types import Array

LEAST_WIDTH = 64
"""Channels in and out from which on Winograd's algorithm is faster."""


def convolve(x: Array, kernel: Array, stride: int, padding: str) -> Array:
    """A convolution; arguments as for `kernels.any_convolution`.

    Before JAX 0.11, XLA takes two to five times as long for one without padding. So that one is cut
    out of one with padding; where the stride is more than 1, it is given a row and a column at the
    end, which no window reaches.
    """
    height, width, *channels = kernel.shape
    if stride > 1:
        paths = x.shape[1] - height, x.shape[2] - width
        ends = [_unreached(path, stride) for path in paths]
        return _direct(x, kernel, stride, padding if padding == "SAME" else ends)
    if (height, width) == (3, 3) and min(channels) >= LEAST_WIDTH:
        full = _winograd_of_any_size(x, kernel)
    else:
        full = _direct(x, kernel, 1, "SAME")
    if padding == "SAME":
        return full
    top, left = (height - 1) // 2, (width - 1) // 2
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    return full[:, top : top + rows, left : left + columns]


def max_pool(x: Array, stride: int, padding: str) -> Array:
    """Of 3×3 pixels; arguments as for `kernels.max_pool`.

    Nine maxima, which XLA fuses into one loop, take a third of its own window's time.
    """
    if padding == "SAME":
        around = ((0, 0), (1, 1), (1, 1), (0, 0))
        x = jnp.pad(x, around, constant_values=-jnp.inf)
    rows, columns = (stride * ((n - 3) // stride) + 1 for n in x.shape[1:3])
    shifts = [(i, j) for i in range(3) for j in range(3)]
    found = x[:, :rows:stride, :columns:stride]
    for i, j in shifts[1:]:
        found = jnp.maximum(found, x[:, i : i + rows : stride, j : j + columns : stride])
    return found


def _direct(x: Array, kernel: Array, stride: int, padding: str | list[tuple[int, int]]) -> Array:
    layout, strides = ("NHWC", "HWIO", "NHWC"), (stride, stride)
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout)


def _unreached(path: int, stride: int) -> tuple[int, int]:
    """(0, 1), the padding, if a pixel more at the end is in no window; else (0, 0).

    `path`: how many pixels the window can move.
    """
    return 0, min(1, stride - 1 - path % stride)


def _winograd_of_any_size(x: Array, kernel: Array) -> Array:
    h, w = x.shape[1:3]
    even = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)))
    return winograd(even, kernel)[:, :h, :w]
