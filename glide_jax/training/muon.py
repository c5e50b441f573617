"""Muon (Jordan et al. 2024): a matrix moves along its momentum with every direction equally long.

Adam follows the few large directions of a gradient. The many small ones, which tell one shape or
one word from another, come late; here they count as much.
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
_RMS = 0.2  # a matrix then moves about as far as by Adam (Liu et al. 2025, sec. 2.2)
_OTHERS = 1 / 3  # of Adam's direction, for what is no matrix


class MuonState(NamedTuple):
    """What Muon remembers, by path, as weights are packed.

    Attributes:
        momentum: of large matrices, and of the packed arrays, small matrices among them.
        adam: of all but the large matrices.
    """

    momentum: Params
    adam: Any


def scale_by_muon(packing: Packing, matrices: Set[str]) -> optax.GradientTransformation:
    """Muon's direction for matrices; a third of Adam's for everything else.

    Args:
        packing: how weights are packed.
        matrices: the paths of the matrices: f32[m n], or kernels f32[h w m n], taken as [h·w·m n].

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

    def towards(momentum: Params, updates: Params) -> Params:
        return jax.tree.map(lambda m, g: m + (1 - _MOMENTUM) * (g - m), momentum, updates)

    def update(updates: Any, state: Any, params: Any = None):
        del params
        seen = large_matrices_and_packed(updates)
        momentum = towards(state.momentum, seen)
        ahead = packing.unpack(towards(momentum, seen))  # Nesterov's
        scaled: Any
        scaled, adam_state = adam.update(others(updates), state.adam)
        directions = {path: _OTHERS * x for path, x in packing.unpack(scaled).items()}
        directions |= {path: _direction(ahead[path]) for path in matrices}
        return packing.pack(directions), MuonState(momentum, adam_state)

    return optax.GradientTransformation(init, update)


def _direction(momentum: Array) -> Array:
    matrix = momentum.reshape(-1, momentum.shape[-1])
    length = _RMS * max(matrix.shape) ** 0.5
    return (length * orthogonalized(matrix)).reshape(momentum.shape)


def orthogonalized(matrix: Array) -> Array:
    """About U Vᵀ of a matrix U S Vᵀ: five steps of x ← a x + b (x xᵀ) x + c (x xᵀ)² x.

    They run on the smaller side's Gram matrix alone, of which every step is a polynomial: for a
    kernel of [1152 128] a fifth of the time of steps on the kernel itself.

    Args:
        matrix: f32[m n].

    Returns:
        f32[m n], its singular values within 0.7 … 1.2, those that were tiny beside the largest
        below that.
    """
    if matrix.shape[0] < matrix.shape[1]:
        return orthogonalized(matrix.T).T
    a, b, c = _COEFFICIENTS
    unit = matrix / (jnp.linalg.norm(matrix) + 1e-7)
    gram = unit.T @ unit
    identity = jnp.eye(len(gram))
    product = identity
    for _ in range(_ITERATIONS):
        factor = a * identity + b * gram + c * (gram @ gram)
        product = product @ factor
        gram = factor @ gram @ factor
    return unit @ product
