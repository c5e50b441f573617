"""The platform that an array is on, by which `kernels` chooses how to compute."""

import dataclasses
from typing import Any

import jax
from jax.sharding import AbstractDevice

from glide_jax.types import Array


def platform_of(x: Array) -> str:
    """The platform that an array is on, or will be on: `cpu`, `gpu` or `tpu`.

    A traced array knows the mesh that it will be split over. An array without a mesh is
    assumed to be on JAX's default backend.
    """
    device = jax.typeof(x).sharding.mesh.abstract_device
    return _platform(device) if device else jax.default_backend()


def abstract_device(platform: str) -> AbstractDevice:
    """A device that need not be here, for an AbstractMesh of arrays on `platform`."""
    fields = {"device_kind": platform, "num_cores": None, "platform": platform}
    known = {field.name for field in dataclasses.fields(AbstractDevice)}
    return AbstractDevice(**{name: value for name, value in fields.items() if name in known})


def _platform(device: Any) -> str:
    if hasattr(device, "platform"):
        return device.platform
    # JAX before 0.10 gives only the kind: `cpu`, `TPU v5 lite`, `NVIDIA H100 80GB HBM3`.
    kind = device.device_kind.lower()
    return next((platform for platform in ("cpu", "tpu") if platform in kind), "gpu")
