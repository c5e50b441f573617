"""Small arrays concatenated into one, so that the optimizer sees only a few, large ones.

A U-Net has hundreds of norms and biases. Updated one by one each would be a kernel of its own:
minutes of compilation on a CPU, hundreds of launches on an accelerator. Larger arrays are not
packed: that would copy most of the weights, and arrays beyond mesh.SMALL may be sharded. Frozen
weights are left out: the optimizer never sees them.
"""

import math
from collections.abc import Collection, Mapping

import jax.numpy as jnp

from glide_jax.parallel import mesh
from glide_jax.types import Array, Params

PACKED = "packed"
"""The key of the concatenated array."""

_SMALL = 2**14
"""Elements of the largest array that is packed: copying 64 KiB costs no more than a launch."""


class Packing:
    """How the trainable weights of one model are packed.

    Attributes:
        shapes: path → shape of each trainable weight.

    Args:
        shapes: all weights of the model, arrays or shapes.
        frozen: paths of the weights that training does not change.
    """

    def __init__(self, shapes: Mapping[str, mesh.Shaped], frozen: Collection[str] = ()):
        self.shapes = {path: s.shape for path, s in shapes.items() if path not in frozen}
        largest = min(_SMALL, mesh.SMALL)
        # Sorted: the order must be the same in every run that continues from a checkpoint.
        self._small = {
            path: shape
            for path, shape in sorted(self.shapes.items())
            # A scalar stays alone: weight decay leaves it out.
            if shape and math.prod(shape) <= largest
        }

    def trainable(self, tree: Params) -> Params:
        """A value for each weight, by path → those of the trainable weights."""
        return {path: tree[path] for path in self.shapes}

    def pack(self, tree: Params) -> Params:
        """Weights (or their gradients) by path → the large ones by path, and one vector.

        Frozen weights may be among them, and are left out.
        """
        large = {path: x for path, x in self.trainable(tree).items() if path not in self._small}
        if not self._small:
            return large
        return large | {PACKED: jnp.concatenate([tree[path].ravel() for path in self._small])}

    def unpack(self, tree: Params) -> Params:
        """The inverse of `pack`, without the frozen weights."""
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
