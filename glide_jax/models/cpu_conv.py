"""3×3 convolutions as a CPU computes them fastest: fewer products, all of large matrices.

XLA's own convolution runs at a core's speed forwards, but its filter's gradient at a fifth of it.
Winograd's minimal filtering F(2×2, 3×3) (Lavin & Gray 2016, sec. 4.1) takes 16 products of
matrices for four pixels where the definition takes 36, and both gradients are such products:

    y = Aᵀ [(G k Gᵀ) ⊙ (Bᵀ x B)] A
    dk = Gᵀ [(Bᵀ x B) ⊙ (A dy Aᵀ)] G

over tiles x of 4×4 pixels, which share two rows or columns with their neighbours, and y of 2×2; ⊙
is a product over channels, or over tiles. It rounds as the definition does, to a few units of the
last place; F(4×4, 3×3) would save more, and round twenty times as much.

Of few pixels their patches of 3×3 are written out instead, which is one product.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from glide_jax.types import Array

LEAST_WORK = 2**21
"""Tiles × channels in × channels out below which XLA's convolution is as fast."""

FEW_PIXELS = 2**8
"""Of all pictures together: the kernel's transform would cost more than it saves."""

LEAST_KERNEL = 2**16
"""Channels in × channels out below which XLA's convolution of few pixels is as fast."""

TINY_PICTURE = 4
"""Pixels of a picture in which XLA's convolution takes ten times too long."""

LARGE = 2**24
"""Elements of a batch's tiles, or of their products, from which on it goes band by band."""

BAND = 2**22
"""The same, of one band."""

LEAST_WIDTH = 32
"""Channels below which tiles take longer to make than they save."""

LEAST_LARGE_WIDTH = 128
"""The same of large pictures, but for the kernel's gradient."""

SAVED = "convolution"
"""The name by which rematerialisation knows the result."""


def convolve_on_cpu(x: Array, kernel: Array, spread: Sequence[Array] | None = None) -> Array:
    """A 3×3 convolution with a stride of 1 and a padding of 1.

    Args:
        x: f32[b h w c].
        kernel: f32[3 3 c o].
        spread: `spread_kernel(kernel)`, where it is there already.

    Returns:
        f32[b h w o].
    """
    convolve = way(x.shape, kernel.shape[-1])
    if convolve is winograd and spread is not None:
        return checkpoint_name(_filtered(x, spread), SAVED)
    return checkpoint_name(convolve(x, kernel), SAVED)


def takes_spread_kernel(shape: Sequence[int], width_out: int) -> bool:
    """Whether a convolution takes its kernel spread out; arguments as for `way`."""
    return way(shape, width_out) is winograd


def way(shape: Sequence[int], width_out: int) -> Callable[[Array, Array], Array]:
    """The one of the functions below that is the fastest.

    Args:
        shape: of the pictures, (b, h, w, c).
        width_out: channels of the result.
    """
    b, h, w, c = shape
    if h * w <= TINY_PICTURE or (b * h * w <= FEW_PIXELS and c * width_out >= LEAST_KERNEL):
        return of_patches
    tiles, narrow, wide = b * h * w // 4, min(c, width_out), max(c, width_out)
    if h % 2 or w % 2 or narrow < LEAST_WIDTH or tiles * c * width_out < LEAST_WORK:
        return direct
    if 16 * tiles * wide >= LARGE and narrow < LEAST_LARGE_WIDTH:
        return half_direct
    return winograd


def direct(x: Array, kernel: Array) -> Array:
    """XLA's."""
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def of_patches(x: Array, kernel: Array) -> Array:
    """One product of all patches and the kernel."""
    b, h, w, c = x.shape
    padded = _padded(x)
    shifted = [padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    patches = jnp.concatenate(shifted, axis=-1).reshape(b * h * w, 9 * c)
    return (patches @ kernel.reshape(9 * c, -1)).reshape(b, h, w, -1)


@jax.custom_vjp
def winograd(x: Array, kernel: Array) -> Array:
    """Sixteen products for four pixels, of h and w that are even."""
    return _filtered(x, spread_kernel(kernel))


def _winograd_backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    # The flipped kernel spread out is the kernel spread out, its two ends exchanged.
    spread, ends = spread_kernel(kernel), (3, 1, 2, 0)
    flipped = [spread[4 * i + j].T for i in ends for j in ends]
    return _filtered(dy, flipped), _gathered_kernel(_correlated(x, dy))


winograd.defvjp(lambda x, kernel: (winograd(x, kernel), (x, kernel)), _winograd_backward)


@jax.custom_vjp
def half_direct(x: Array, kernel: Array) -> Array:
    """XLA's but for the kernel's gradient."""
    return direct(x, kernel)


def _half_direct_backward(residuals: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    (dx,) = jax.linear_transpose(lambda x: direct(x, kernel), x)(dy)
    return dx, _gathered_kernel(_correlated(x, dy))


half_direct.defvjp(lambda x, kernel: (direct(x, kernel), (x, kernel)), _half_direct_backward)


def _filtered(x: Array, spread: Sequence[Array]) -> Array:
    """f32[b h w c] and 16 of f32[c o] → f32[b h w o]."""
    b, h, w, _ = x.shape
    width_out = spread[0].shape[-1]

    def filtered(band: Array) -> Array:
        products = [tile @ k for tile, k in zip(_tiles(band), spread, strict=True)]
        return _gathered(products, (b, band.shape[1] // 2 - 1, w // 2, width_out))

    padded, rows = _padded(x), _rows_of_a_band(x.shape, width_out)
    if rows == h:
        return filtered(padded)

    def add(i: Array, y: Array) -> Array:
        found = _apart(i, filtered, _band(padded, i * rows, rows + 2))
        return jax.lax.dynamic_update_slice_in_dim(y, found, i * rows, axis=1)

    return jax.lax.fori_loop(0, h // rows, add, jnp.zeros((b, h, w, width_out), x.dtype))


def _correlated(x: Array, dy: Array) -> list[Array]:
    """f32[b h w c] and f32[b h w o] → 16 of f32[c o]: the gradients of the kernel spread out."""
    h, width_out = x.shape[1], dy.shape[-1]

    def correlated(band: Array, dy: Array) -> list[Array]:
        return [tile.T @ d for tile, d in zip(_tiles(band), _spread(dy), strict=True)]

    padded, rows = _padded(x), _rows_of_a_band(x.shape, width_out)
    if rows == h:
        return correlated(padded, dy)

    def add(i: Array, sums: list[Array]) -> list[Array]:
        bands = _band(padded, i * rows, rows + 2), _band(dy, i * rows, rows)
        found = _apart(i, correlated, *bands)
        return [total + one for total, one in zip(sums, found, strict=True)]

    none = [jnp.zeros((x.shape[-1], width_out), x.dtype)] * 16
    return jax.lax.fori_loop(0, h // rows, add, none)


def _rows_of_a_band(shape: Sequence[int], width_out: int) -> int:
    """An even number that divides h; h itself where there is one band."""
    b, h, w, c = shape
    of_two_rows = 16 * b * (w // 2) * max(c, width_out)
    if of_two_rows * (h // 2) < LARGE:
        return h
    pairs = max(1, BAND // of_two_rows)
    return 2 * max(n for n in range(1, pairs + 1) if h // 2 % n == 0)


def _apart(i: Array, function: Callable[..., Any], *given: Array) -> Any:
    """function(*given), which XLA does not fuse with what is around it in turn i of a loop.

    Fused with the loop's slices it would be computed element by element, on one thread. XLA does
    not fuse into a branch; this one is always taken.
    """
    shapes = jax.eval_shape(function, *given)
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return jax.lax.cond(i >= 0, function, lambda *_: nothing, *given)


def _band(x: Array, start: Array, rows: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(x, start, rows, axis=1)


def _padded(x: Array) -> Array:
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _tiles(padded: Array) -> list[Array]:
    """Bᵀ x B of every tile: f32[b h+2 w+2 c] → 16 of f32[b·h/2·w/2 c]."""

    def combined(x0: Array, x1: Array, x2: Array, x3: Array) -> tuple[Array, ...]:
        return x0 - x2, x1 + x2, x2 - x1, x1 - x3

    b, h, w, c = padded.shape
    pairs = padded.reshape(b, h // 2, 2, w // 2, 2, c)
    even, odd = pairs[:, :, 0], pairs[:, :, 1]
    found = []
    for row in combined(even[:, :-1], odd[:, :-1], even[:, 1:], odd[:, 1:]):
        even, odd = row[:, :, :, 0], row[:, :, :, 1]
        found += combined(even[:, :, :-1], odd[:, :, :-1], even[:, :, 1:], odd[:, :, 1:])
    return [tile.reshape(-1, c) for tile in found]


def _gathered(products: Sequence[Array], shape: tuple[int, int, int, int]) -> Array:
    """Aᵀ m A of every tile: 16 of f32[b·h/2·w/2 o] → f32[b h w o]. shape: b, h/2, w/2, o."""

    def combined(m0: Array, m1: Array, m2: Array, m3: Array) -> tuple[Array, Array]:
        return m0 + m1 + m2, m1 - m2 - m3

    columns = [combined(*products[j::4]) for j in range(4)]
    pixels = [combined(*(column[i] for column in columns)) for i in range(2)]
    b, h, w, width_out = shape
    rows = [jnp.stack([pixel.reshape(shape) for pixel in row], axis=3) for row in pixels]
    return jnp.stack(rows, axis=2).reshape(b, 2 * h, 2 * w, width_out)


def _spread(dy: Array) -> list[Array]:
    """A dy Aᵀ of every tile, `_gathered` transposed: f32[b h w o] → 16 of f32[b·h/2·w/2 o]."""

    def combined(y0: Array, y1: Array) -> tuple[Array, ...]:
        return y0, y0 + y1, y0 - y1, -y1

    b, h, w, width = dy.shape
    pairs = dy.reshape(b, h // 2, 2, w // 2, 2, width)
    rows = combined(pairs[:, :, 0], pairs[:, :, 1])
    found = [d for row in rows for d in combined(row[:, :, :, 0], row[:, :, :, 1])]
    return [d.reshape(-1, width) for d in found]


def spread_kernel(kernel: Array) -> list[Array]:
    """The kernel spread out, G k Gᵀ: f32[3 3 c o] → 16 of f32[c o]."""

    def combined(k0: Array, k1: Array, k2: Array) -> tuple[Array, ...]:
        ends, middle = (k0 + k2) / 2, k1 / 2
        return k0, ends + middle, ends - middle, k2

    rows = combined(kernel[0], kernel[1], kernel[2])
    return [k for row in rows for k in combined(row[0], row[1], row[2])]


def _gathered_kernel(gradients: Sequence[Array]) -> Array:
    """Gᵀ d G, `spread_kernel` transposed: 16 of f32[c o] → f32[3 3 c o]."""

    def combined(d0: Array, d1: Array, d2: Array, d3: Array) -> tuple[Array, ...]:
        half = (d1 + d2) / 2
        return d0 + half, (d1 - d2) / 2, d3 + half

    rows = [combined(*gradients[4 * i : 4 * i + 4]) for i in range(4)]
    columns = [combined(*(row[j] for row in rows)) for j in range(3)]
    return jnp.stack([jnp.stack([column[i] for column in columns]) for i in range(3)])
