"""Muon (Jordan et al. 2024): steps along the momentum, with all its singular values made equal.

Adam follows the few large directions of a gradient. The many small ones, by which a model learns to
distinguish one shape or one word from another, come late; here they count as much.
"""

from collections.abc import Set
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from glide_jax.training.packing import PACKED, Packing
from glide_jax.types import Array, Params

_MOMENTUM = 0.95
_COEFFICIENTS = (
    # Of degree 5, each the closest to 1 that there is (Amsel et al. 2025, sec. 3) on what the one
    # before leaves of [0.0035, 1]; the four together grow small singular values by a factor of 273.
    (8.36227, -24.6814, 18.2899),
    (4.0103, -2.98804, 0.566816),
    (3.413, -2.55852, 0.517948),
    (2.38934, -1.7474, 0.427328),
)
_RMS = 0.2  # the step is then about as long as Adam's (Liu et al. 2025, sec. 2.2)
_ADAM_SCALE = 1 / 3  # of Adam's direction, for everything that is no matrix


class MuonState(NamedTuple):
    """Muon's memory, packed as the weights are.

    Attributes:
        momentum: of the large matrices, and of the packed array, which holds small ones.
        adam: Adam's state, of everything but the large matrices.
    """

    momentum: Params
    adam: Any


def scale_by_muon(packing: Packing, matrices: Set[str]) -> optax.GradientTransformation:
    """Muon's direction for matrices; a third of Adam's for everything else.

    Args:
        packing: how gradients are packed.
        matrices: their paths: f32[m n], or kernels f32[h w m n], which count as [h·w·m n].

    Returns:
        A transformation of packed gradients.
    """
    adam = optax.scale_by_adam()

    def large_matrices_and_packed(tree: Params) -> Params:
        return {p: x for p, x in tree.items() if p in matrices or p == PACKED}

    def others(tree: Params) -> Params:
        return {p: x for p, x in tree.items() if p not in matrices}

    def init(params: Any) -> MuonState:
        momentum = jax.tree.map(jnp.zeros_like, large_matrices_and_packed(params))
        return MuonState(momentum, adam.init(others(params)))

    def averaged(momentum: Params, updates: Params) -> Params:
        return jax.tree.map(lambda m, g: m + (1 - _MOMENTUM) * (g - m), momentum, updates)

    def update(updates: Any, state: Any, params: Any = None):
        del params
        gradients = large_matrices_and_packed(updates)
        momentum = averaged(state.momentum, gradients)
        nesterov = packing.unpack(averaged(momentum, gradients))
        scaled: Any
        scaled, adam_state = adam.update(others(updates), state.adam)
        directions = {path: _ADAM_SCALE * x for path, x in packing.unpack(scaled).items()}
        directions |= {path: _direction(nesterov[path]) for path in matrices}
        return packing.pack(directions), MuonState(momentum, adam_state)

    return optax.GradientTransformation(init, update)


def _direction(momentum: Array) -> Array:
    matrix = momentum.reshape(-1, momentum.shape[-1])
    length = _RMS * max(matrix.shape) ** 0.5
    return (length * orthogonalized(matrix)).reshape(momentum.shape)


def orthogonalized(matrix: Array) -> Array:
    """About U Vᵀ of a matrix U S Vᵀ: four steps of x ← a x + b (x xᵀ) x + c (x xᵀ)² x.

    The steps differ (Polar Express, Amsel et al. 2025, arXiv 2505.16932), and what they start from
    is as large as it may be: the largest singular value is bounded by the eighth root of the sum of
    all their eighth powers, which the first step's square of the Gram matrix gives away, at most
    n^(1/8) times too large; by the norm it is bounded n^(1/2) times too large.

    Every step multiplies by a polynomial of the smaller side's Gram matrix, so the iteration runs
    on that matrix alone: with a third of the operations of `optax.contrib.muon` for a kernel of
    [1152 128], which iterates on the kernel itself, five times (`benchmarks/muon.py` times both).
    The Gram matrix holds the squares of the singular values, and needs float32's full precision:
    the products of a TPU, whose factors are rounded to bfloat16 by default, would make small
    directions many times too long. (optax's iteration would lose them.)

    Args:
        matrix: f32[m n].

    Returns:
        f32[m n], its singular values within 0.84 … 1.16; smaller where they were below 0.0035 of
        that bound.
    """
    if matrix.shape[0] < matrix.shape[1]:
        return orthogonalized(matrix.T).T
    # By the norm first: eighth powers leave float32's range.
    unit = matrix / (jnp.linalg.norm(matrix) + 1e-7)
    gram = _product(unit.T, unit)
    square = _product(gram, gram)
    bound = jnp.sqrt(jnp.linalg.norm(square)) + 1e-7  # of the largest eigenvalue
    gram, square = gram / bound, square / bound**2
    polynomial = factor = _polynomial(_COEFFICIENTS[0], gram, square)
    for coefficients in _COEFFICIENTS[1:]:
        gram = _product(_product(factor, gram), factor)
        factor = _polynomial(coefficients, gram, _product(gram, gram))
        polynomial = _product(polynomial, factor)
    return _product(unit, polynomial / jnp.sqrt(bound))


def _polynomial(coefficients: tuple[float, float, float], gram: Array, square: Array) -> Array:
    """What a step multiplies by, of a Gram matrix f32[n n] and its square."""
    a, b, c = coefficients
    return a * jnp.eye(len(gram)) + b * gram + c * square


def _product(a: Array, b: Array) -> Array:
    """The product at float32 precision on every device."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
