"""Small arrays laid end to end, so that the optimizer sees a few large ones.

A U-Net has hundreds of norms and biases. One update of each would be one kernel of each: minutes
of compilation on a CPU, launch after launch on an accelerator. Larger arrays stay by themselves:
laying them end to end would copy most of the weights, and beyond mesh.SMALL they may lie in pieces
over the devices. Weights that training holds still are left out: no optimizer sees them.
"""

import math
from collections.abc import Collection, Mapping

import jax.numpy as jnp

from glide_jax.parallel import mesh
from glide_jax.types import Array, Params

PACKED = "packed"
"""The key of the vector."""

_SMALL = 2**14
"""Elements of the largest array that is packed: copying 64 KiB costs no more than a launch."""


class Packing:
    """How the weights of one model that training moves are packed.

    Attributes:
        shapes: each such weight's shape, by its path.

    Args:
        shapes: all weights, or what has their shapes.
        still: the paths of those that are held still.
    """

    def __init__(self, shapes: Mapping[str, mesh.Shaped], still: Collection[str] = ()):
        self.shapes = {path: s.shape for path, s in shapes.items() if path not in still}
        largest = min(_SMALL, mesh.SMALL)
        # Sorted: the order must be the same in every run that goes on from a checkpoint.
        self._small = {
            path: shape
            for path, shape in sorted(self.shapes.items())
            if math.prod(shape) <= largest
        }

    def moving(self, tree: Params) -> Params:
        """All weights, or what has their shapes → those that training moves."""
        return {path: tree[path] for path in self.shapes}

    def pack(self, tree: Params) -> Params:
        """Weights, or what has their shapes → the large ones by path, and one vector.

        Those that are held still may be among them, and are left out.
        """
        large = {path: x for path, x in self.moving(tree).items() if path not in self._small}
        if not self._small:
            return large
        return large | {PACKED: jnp.concatenate([tree[path].ravel() for path in self._small])}

    def unpack(self, tree: Params) -> Params:
        """The inverse of `pack`, but for weights that are held still."""
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
