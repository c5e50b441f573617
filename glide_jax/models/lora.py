"""LoRA: low-rank adapters of a model's kernels (Hu et al. 2021, arXiv 2106.09685).

    W' = W + w · α/r · A B            eq. 3; w is the weight that an adapter is given at sampling

`A` and `B` are kept beside the kernel, as `PATH.lora_a` and `PATH.lora_b`. A kernel's last axis are
its outputs; the others together are its inputs, so that a convolution's A is a convolution to r
channels and its B a pointwise one. An adapter is a function of the weights, applied before the
model sees them: no model knows of it, and sampling with it costs nothing a step.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from glide_jax.config import AdapterConfig
from glide_jax.types import Array, Params

A, B = ".lora_a", ".lora_b"
"""Endings of an adapter's arrays."""

_ATTENTION = (".qkv", ".proj", ".text_kv")


def _in_attention(path: str) -> bool:
    return path.removesuffix(".kernel").endswith(_ATTENTION)


GROUPS: dict[str, Callable[[str, int], bool]] = {
    "attention": lambda path, ndim: _of_unet(path) and ndim == 2 and _in_attention(path),
    "dense": lambda path, ndim: _of_unet(path) and ndim == 2 and not _in_attention(path),
    "convolutions": lambda path, ndim: _of_unet(path) and ndim == 4,
    "text": lambda path, ndim: path.startswith("text.") and ndim == 2,
}
"""Name in `training.adapter.weights` → (a kernel's path, its axes) → whether it is of the group."""


def _of_unet(path: str) -> bool:
    return path.startswith("unet.")


@dataclasses.dataclass(frozen=True)
class Lora:
    """An adapter of one model, to train.

    Attributes:
        config: its rank, its α, the kernels that it changes.
        shapes: of its arrays, by path.
    """

    config: AdapterConfig
    shapes: dict[str, jax.ShapeDtypeStruct]

    def init(self, key: Array) -> Params:
        """A normal of variance 1 / inputs, B zero: the model is the base's until it is trained."""
        keys = jax.random.split(key, len(self.shapes))
        return {
            path: jax.random.normal(k, s.shape) / math.sqrt(s.shape[0])
            if path.endswith(A)
            else jnp.zeros(s.shape)
            for k, (path, s) in zip(keys, self.shapes.items(), strict=True)
        }

    def merge(self, params: Params) -> Params:
        """The base's weights and the adapter's arrays, in one dict → the weights of the model."""
        base = {path: x for path, x in params.items() if path not in self.shapes}
        return merged(base, params, self.config.alpha / self.config.rank)


def lora_of(shapes: Mapping[str, jax.ShapeDtypeStruct], config: AdapterConfig) -> Lora:
    """The adapter of a model.

    Args:
        shapes: the model's weights.
        config: rank, α and groups of kernels. Of a kernel that is smaller than the rank, the
            adapter has its full rank.
    """
    found = {}
    for path, shape in ((path, s.shape) for path, s in shapes.items()):
        if not path.endswith(".kernel"):
            continue
        if any(GROUPS[name](path, len(shape)) for name in config.weights):
            inputs, outputs = math.prod(shape[:-1]), shape[-1]
            rank = min(config.rank, inputs, outputs)
            found[path + A] = jax.ShapeDtypeStruct((inputs, rank), jnp.float32)
            found[path + B] = jax.ShapeDtypeStruct((rank, outputs), jnp.float32)
    return Lora(config, found)


def adapted_paths(shapes: Mapping[str, object]) -> list[str]:
    """The kernels that an adapter changes, by the paths of its arrays; []: it is no adapter."""
    return [path.removesuffix(A) for path in shapes if path.endswith(A)]


def merged(params: Params, adapter: Mapping[str, Array], scale: float | Array) -> Params:
    """W + scale · A B for the kernels of an adapter, in float32; the other weights as they are.

    Args:
        params: a model's weights.
        adapter: its arrays, and perhaps others.
        scale: w · α/r.

    Returns:
        All weights; those that it changes are float32, so that a small change of a weight that is
        stored in bfloat16 is not rounded away.
    """
    changed = {
        path: _added(params[path], adapter[path + A], adapter[path + B], scale)
        for path in adapted_paths(adapter)
    }
    return params | changed


def _added(kernel: Array, a: Array, b: Array, scale: float | Array) -> Array:
    # As exact on an accelerator as on a CPU: the same adapter gives the same weights.
    product = jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST).reshape(kernel.shape)
    return kernel.astype(jnp.float32) + scale * product


add = jax.jit(_added)
"""(kernel, A, B, scale) → kernel + scale · A B, compiled once for a shape, whatever the scale."""
