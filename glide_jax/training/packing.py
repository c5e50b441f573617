"""Small arrays laid end to end, so that the optimizer sees a few large ones.

A U-Net has hundreds of norms and biases. One update of each would be one kernel of each: minutes
of compilation on a CPU, launch after launch on an accelerator. Larger arrays stay by themselves:
laying them end to end would copy most of the weights, and beyond mesh.SMALL they may lie in pieces
over the devices.
"""

import math
from collections.abc import Mapping

import jax.numpy as jnp

from glide_jax.parallel import mesh
from glide_jax.types import Array, Params

PACKED = "packed"
"""The key of the vector."""

_SMALL = 2**14
"""Elements of the largest array that is packed: copying 64 KiB costs no more than a launch."""


class Packing:
    """How the weights of one model are packed.

    Attributes:
        shapes: each weight's shape, by its path.

    Args:
        shapes: the weights, or what has their shapes.
    """

    def __init__(self, shapes: Mapping[str, mesh.Shaped]):
        self.shapes = {path: s.shape for path, s in shapes.items()}
        largest = min(_SMALL, mesh.SMALL)
        # Sorted: the order must be the same in every run that goes on from a checkpoint.
        self._small = {
            path: s.shape for path, s in sorted(shapes.items()) if math.prod(s.shape) <= largest
        }

    def pack(self, tree: Params) -> Params:
        """Weights, or what has their shapes → the large ones by path, and one vector."""
        large = {path: value for path, value in tree.items() if path not in self._small}
        if not self._small:
            return large
        return large | {PACKED: jnp.concatenate([tree[path].ravel() for path in self._small])}

    def unpack(self, tree: Params) -> Params:
        """The inverse of `pack`."""
        tree = dict(tree)
        if not self._small:
            return tree
        vector: Array = tree.pop(PACKED)
        start = 0
        for path, shape in self._small.items():
            size = math.prod(shape)
            tree[path] = vector[start : start + size].reshape(shape)
            start += size
        return tree
