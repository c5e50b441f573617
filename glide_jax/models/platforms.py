"""Where an array lies, by which the models choose how to compute."""

import jax

from glide_jax.types import Array


def platform_of(x: Array) -> str:
    """Where an array lies, or is going to: `cpu`, `gpu` or `tpu`.

    An array that is being traced knows the mesh that it will be split over; one of no mesh is
    taken to lie where JAX puts arrays by itself.
    """
    device = jax.typeof(x).sharding.mesh.abstract_device
    return device.platform if device else jax.default_backend()
