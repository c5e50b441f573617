"""What is random about a picture in training."""

import jax

from glide_jax.types import Array


class Draws:
    """Random numbers by picture: a picture's depend on the step's key and its index alone.

    Args:
        key: key[], of the step.
        index: i32[b], each picture's place in the global batch.
    """

    _NAMES = (
        *("t", "noise", "caption", "low_res_strength", "low_res_noise", "dropout"),
        *("box_height", "box_width", "box_top", "box_left"),
    )

    def __init__(self, key: Array, index: Array):
        self._key, self._index = key, index

    def keys(self, name: str) -> Array:
        """key[b]."""
        key = jax.random.fold_in(self._key, self._NAMES.index(name))
        return jax.vmap(jax.random.fold_in, (None, 0))(key, self._index)

    def uniform(self, name: str) -> Array:
        """f32[b] in [0, 1)."""
        return jax.vmap(jax.random.uniform)(self.keys(name))

    def normal(self, name: str, shape: tuple[int, ...]) -> Array:
        """f32[b *shape], standard normal."""
        return jax.vmap(lambda k: jax.random.normal(k, shape))(self.keys(name))
