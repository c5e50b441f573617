"""Random numbers of a training step, independent for each image."""

import jax

from glide_jax.types import Array


class ExampleRng:
    """Random numbers by image: they depend on the step's key and the image's index alone.

    An image therefore gets the same noise whatever the number of devices and microbatches.

    Args:
        key: PRNG key of the step.
        index: i32[b], each image's position in the global batch.
    """

    _NAMES = (
        *("t", "noise", "caption", "aug_level", "augmentation_noise", "dropout"),
        *("box_height", "box_width", "box_top", "box_left", "guidance_scale"),
    )

    def __init__(self, key: Array, index: Array):
        self._key, self._index = key, index

    def keys(self, name: str) -> Array:
        """key[b], the stream of this name; ValueError: there is no such stream."""
        key = jax.random.fold_in(self._key, self._NAMES.index(name))
        return jax.vmap(jax.random.fold_in, (None, 0))(key, self._index)

    def uniform(self, name: str) -> Array:
        """f32[b], uniform in [0, 1)."""
        return jax.vmap(jax.random.uniform)(self.keys(name))

    def normal(self, name: str, shape: tuple[int, ...]) -> Array:
        """f32[b *shape], standard normal."""
        return jax.vmap(lambda k: jax.random.normal(k, shape))(self.keys(name))
