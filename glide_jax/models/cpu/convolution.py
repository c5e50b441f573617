"""3×3 convolutions as a CPU computes them fastest: three methods, chosen by the shapes.

`direct`: XLA's own. Its forward pass runs at a core's full speed, but its gradient with respect
    to the kernel at a fifth of that.

`winograd`: Winograd's minimal filtering F(2×2, 3×3) (Lavin & Gray 2016, sec. 4.1). It cuts the
    image into tiles x of 4×4 pixels, each sharing two rows or columns with the next, and from
    each computes a tile y of 2×2 pixels of the result with 16 multiplications, where the
    definition takes 4 · 9 = 36:

        y  = Aᵀ [(G k Gᵀ) ⊙ (Bᵀ x B)] A
        dk = Gᵀ [(Bᵀ x B) ⊙ (A dy Aᵀ)] G

             │1  0 -1  0│        │1   0   0│
        Bᵀ = │0  1  1  0│    G = │½   ½   ½│    Aᵀ = │1  1  1  0│
             │0 -1  1  0│        │½  -½   ½│         │0  1 -1 -1│
             │0  1  0 -1│        │0   0   1│

    Each of the 16 elements of ⊙ is a product of two matrices, which sums over channels in y and
    over tiles in dk. G k Gᵀ, the transformed kernel, depends on the weights alone, see
    `prepared_kernels`. It rounds as the definition does, to a few units in the last place;
    F(4×4, 3×3) would multiply less, and round twenty times as much.

`patches`: writes out the 3×3 patch of every pixel and multiplies all of them by the kernel at
    once; best for few pixels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from glide_jax.types import Array

LEAST_WORK = 2**21
"""Tiles × channels in × channels out below which `direct` is as fast."""

FEW_PIXELS = 2**8
"""Of all images together: transforming the kernel would cost more than it saves."""

LEAST_KERNEL = 2**16
"""Channels in × channels out below which `direct` is as fast for few pixels."""

TINY_IMAGE = 4
"""Pixels of an image for which `direct` takes ten times too long."""

LARGE = 2**24
"""Elements of a batch's tiles, or of their products, from which on it is computed in bands."""

BAND = 2**22
"""The largest number of such elements in one band."""

LEAST_WIDTH = 32
"""Channels below which making the tiles takes longer than they save."""

LEAST_LARGE_WIDTH = 128
"""The same for large images, except for the kernel's gradient."""

SAVED = "convolution"
"""The name of the result for rematerialisation."""


def convolve(x: Array, kernel: Array, transformed: Sequence[Array] | None = None) -> Array:
    """A 3×3 convolution with a stride of 1 and a padding of 1.

    Args:
        x: f32[b h w c].
        kernel: f32[3 3 c o].
        transformed: `transform_kernel(kernel)`, if it has been computed before.

    Returns:
        f32[b h w o].
    """
    compute = method(x.shape, kernel.shape[-1])
    if compute is winograd and transformed is not None:
        return checkpoint_name(_winograd(x, transformed), SAVED)
    return checkpoint_name(compute(x, kernel), SAVED)


def takes_transformed(shape: Sequence[int], width_out: int) -> bool:
    """Whether `convolve` uses a transformed kernel; arguments as for `method`."""
    return method(shape, width_out) is winograd


def method(shape: Sequence[int], width_out: int) -> Callable[[Array, Array], Array]:
    """The fastest of the functions below.

    Args:
        shape: (b, h, w, c), of the images.
        width_out: channels of the result.
    """
    b, h, w, c = shape
    if h * w <= TINY_IMAGE or (b * h * w <= FEW_PIXELS and c * width_out >= LEAST_KERNEL):
        return patches
    tiles, narrow, wide = b * h * w // 4, min(c, width_out), max(c, width_out)
    if h % 2 or w % 2 or narrow < LEAST_WIDTH or tiles * c * width_out < LEAST_WORK:
        return direct
    if 16 * tiles * wide >= LARGE and narrow < LEAST_LARGE_WIDTH:
        return direct_winograd_gradient
    return winograd


def direct(x: Array, kernel: Array) -> Array:
    """XLA's convolution."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def patches(x: Array, kernel: Array) -> Array:
    """One product of the patches of all pixels and the kernel."""
    b, h, w, c = x.shape
    padded = _pad(x)
    shifted = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    rows = jnp.concatenate(shifted, axis=-1).reshape(b * h * w, 9 * c)
    return (rows @ kernel.reshape(9 * c, -1)).reshape(b, h, w, -1)


@jax.custom_vjp
def winograd(x: Array, kernel: Array) -> Array:
    """F(2×2, 3×3), for even h and w."""
    return _winograd(x, transform_kernel(kernel))


def _winograd_backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    # To transform the flipped kernel is to exchange both ends of the transformed kernel.
    transformed, order = transform_kernel(kernel), (3, 1, 2, 0)
    flipped = [transformed[4 * i + j].T for i in order for j in order]
    return _winograd(dy, flipped), _winograd_kernel_gradient(x, dy)


winograd.defvjp(lambda x, kernel: (winograd(x, kernel), (x, kernel)), _winograd_backward)


@jax.custom_vjp
def direct_winograd_gradient(x: Array, kernel: Array) -> Array:
    """`direct`, but for the kernel's gradient, which is computed as for `winograd`."""
    return direct(x, kernel)


def _direct_backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    (dx,) = jax.linear_transpose(lambda x: direct(x, kernel), x)(dy)
    return dx, _winograd_kernel_gradient(x, dy)


direct_winograd_gradient.defvjp(
    lambda x, kernel: (direct(x, kernel), (x, kernel)), _direct_backward
)


def _winograd(x: Array, transformed: Sequence[Array]) -> Array:
    """f32[b h w c] and 16 of f32[c o] → f32[b h w o]."""
    b, h, w, _ = x.shape
    width_out = transformed[0].shape[-1]

    def convolve_rows(padded: Array) -> Array:
        tiles = _transform_tiles(padded)
        products = [tile @ k for tile, k in zip(tiles, transformed, strict=True)]
        return _transform_products(products, (b, padded.shape[1] // 2 - 1, w // 2, width_out))

    padded, rows = _pad(x), _rows_per_band(x.shape, width_out)
    if rows == h:
        return convolve_rows(padded)

    def add_band(i: Array, y: Array) -> Array:
        band = _unfused(i, convolve_rows, _band(padded, i * rows, rows + 2))
        return jax.lax.dynamic_update_slice_in_dim(y, band, i * rows, axis=1)

    return jax.lax.fori_loop(0, h // rows, add_band, jnp.zeros((b, h, w, width_out), x.dtype))


def _winograd_kernel_gradient(x: Array, dy: Array) -> Array:
    """f32[b h w c] and f32[b h w o] → f32[3 3 c o]."""
    return _transpose_kernel_transform(_transformed_kernel_gradients(x, dy))


def _transformed_kernel_gradients(x: Array, dy: Array) -> list[Array]:
    """f32[b h w c] and f32[b h w o] → 16 of f32[c o]."""
    h, width_out = x.shape[1], dy.shape[-1]

    def correlate_rows(padded: Array, dy: Array) -> list[Array]:
        pairs = zip(_transform_tiles(padded), _transpose_product_transform(dy), strict=True)
        return [tile.T @ d for tile, d in pairs]

    padded, rows = _pad(x), _rows_per_band(x.shape, width_out)
    if rows == h:
        return correlate_rows(padded, dy)

    def add_band(i: Array, sums: list[Array]) -> list[Array]:
        bands = _band(padded, i * rows, rows + 2), _band(dy, i * rows, rows)
        gradients = _unfused(i, correlate_rows, *bands)
        return [total + one for total, one in zip(sums, gradients, strict=True)]

    zeros = [jnp.zeros((x.shape[-1], width_out), x.dtype)] * 16
    return jax.lax.fori_loop(0, h // rows, add_band, zeros)


def _rows_per_band(shape: Sequence[int], width_out: int) -> int:
    """An even number that divides h; h itself where one band is enough."""
    b, h, w, c = shape
    of_two_rows = 16 * b * (w // 2) * max(c, width_out)
    if of_two_rows * (h // 2) < LARGE:
        return h
    pairs = max(1, BAND // of_two_rows)
    return 2 * max(n for n in range(1, pairs + 1) if h // 2 % n == 0)


def _unfused(i: Array, function: Callable[..., Any], *arguments: Array) -> Any:
    """function(*arguments) in turn i ≥ 0 of a loop, not fused with the operations around it.

    Fused with the loop's slices it would be computed element by element, on one thread. XLA does
    not fuse into a branch; this one is always taken.
    """
    shapes = jax.eval_shape(function, *arguments)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return jax.lax.cond(i >= 0, function, lambda *_: zeros, *arguments)


def _band(x: Array, start: Array, rows: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(x, start, rows, axis=1)


def _pad(x: Array) -> Array:
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _transform_tiles(padded: Array) -> list[Array]:
    """Bᵀ x B of every tile: f32[b h+2 w+2 c] → 16 of f32[b·h/2·w/2 c]."""

    def transform(x0: Array, x1: Array, x2: Array, x3: Array) -> tuple[Array, ...]:
        return x0 - x2, x1 + x2, x2 - x1, x1 - x3

    b, h, w, c = padded.shape
    pairs = padded.reshape(b, h // 2, 2, w // 2, 2, c)
    even, odd = pairs[:, :, 0], pairs[:, :, 1]
    tiles = []
    for row in transform(even[:, :-1], odd[:, :-1], even[:, 1:], odd[:, 1:]):
        even, odd = row[:, :, :, 0], row[:, :, :, 1]
        tiles += transform(even[:, :, :-1], odd[:, :, :-1], even[:, :, 1:], odd[:, :, 1:])
    return [tile.reshape(-1, c) for tile in tiles]


def _transform_products(products: Sequence[Array], shape: tuple[int, int, int, int]) -> Array:
    """Aᵀ m A of every tile: 16 of f32[b·h/2·w/2 o] → f32[b h w o]. shape: b, h/2, w/2, o."""

    def transform(m0: Array, m1: Array, m2: Array, m3: Array) -> tuple[Array, Array]:
        return m0 + m1 + m2, m1 - m2 - m3

    columns = [transform(*products[j::4]) for j in range(4)]
    pixels = [transform(*(column[i] for column in columns)) for i in range(2)]
    b, h, w, width_out = shape
    rows = [jnp.stack([pixel.reshape(shape) for pixel in row], axis=3) for row in pixels]
    return jnp.stack(rows, axis=2).reshape(b, 2 * h, 2 * w, width_out)


def _transpose_product_transform(dy: Array) -> list[Array]:
    """A dy Aᵀ of every tile: f32[b h w o] → 16 of f32[b·h/2·w/2 o]."""

    def transform(y0: Array, y1: Array) -> tuple[Array, ...]:
        return y0, y0 + y1, y0 - y1, -y1

    b, h, w, width = dy.shape
    pairs = dy.reshape(b, h // 2, 2, w // 2, 2, width)
    rows = transform(pairs[:, :, 0], pairs[:, :, 1])
    tiles = [d for row in rows for d in transform(row[:, :, :, 0], row[:, :, :, 1])]
    return [d.reshape(-1, width) for d in tiles]


def transform_kernel(kernel: Array) -> list[Array]:
    """The transformed kernel, G k Gᵀ: f32[3 3 c o] → 16 of f32[c o]."""

    def transform(k0: Array, k1: Array, k2: Array) -> tuple[Array, ...]:
        ends, middle = (k0 + k2) / 2, k1 / 2
        return k0, ends + middle, ends - middle, k2

    rows = transform(kernel[0], kernel[1], kernel[2])
    return [k for row in rows for k in transform(row[0], row[1], row[2])]


def _transpose_kernel_transform(gradients: Sequence[Array]) -> Array:
    """Gᵀ d G, `transform_kernel` transposed: 16 of f32[c o] → f32[3 3 c o]."""

    def transform(d0: Array, d1: Array, d2: Array, d3: Array) -> tuple[Array, ...]:
        half = (d1 + d2) / 2
        return d0 + half, (d1 - d2) / 2, d3 + half

    rows = [transform(*gradients[4 * i : 4 * i + 4]) for i in range(4)]
    columns = [transform(*(row[j] for row in rows)) for j in range(3)]
    return jnp.stack([jnp.stack([column[i] for column in columns]) for i in range(3)])
