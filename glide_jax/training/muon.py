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
_ITERATIONS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Jordan et al.: small singular values grow fast
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
    """About U Vᵀ of a matrix U S Vᵀ: five steps of x ← a x + b (x xᵀ) x + c (x xᵀ)² x.

    Every step multiplies by a polynomial of the smaller side's Gram matrix, so the iteration runs
    on that matrix alone: for a kernel of [1152 128] with two fifths of the operations of
    `optax.contrib.muon`, which iterates on the kernel itself (`benchmarks/muon.py` times both). The
    Gram matrix holds the squares of the singular values, and needs float32's full precision: the
    products of a TPU, whose factors are rounded to bfloat16 by default, would make small
    directions many times too long. (optax's iteration would lose them.)

    Args:
        matrix: f32[m n].

    Returns:
        f32[m n], its singular values within 0.7 … 1.2; smaller where they were below about 1/50 of
        the largest before.
    """
    if matrix.shape[0] < matrix.shape[1]:
        return orthogonalized(matrix.T).T
    unit = matrix / (jnp.linalg.norm(matrix) + 1e-7)
    gram = _product(unit.T, unit)
    polynomial = factor = _factor(gram)
    for _ in range(_ITERATIONS - 1):
        gram = _product(_product(factor, gram), factor)
        factor = _factor(gram)
        polynomial = _product(polynomial, factor)
    return _product(unit, polynomial)


def _factor(gram: Array) -> Array:
    """The polynomial of one step, of a Gram matrix f32[n n]."""
    a, b, c = _COEFFICIENTS
    return a * jnp.eye(len(gram)) + b * gram + c * _product(gram, gram)


def _product(a: Array, b: Array) -> Array:
    """The product at float32 precision on every device."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
