"""EfficientNet-Lite0: a small classifier of ImageNet, whose weights a Python package carries.

    x ─ stem ─ 16 blocks ─ head ─ mean ─→ pool ─ fc ─→ logits
       112×112            7×7×1280        1280         1000

EfficientNet-B0 (Tan & Le 2019) without squeeze-and-excitation, with ReLU6 in place of swish (Liu
2020), so that phones compute it in integers. Batch normalisation is folded into the convolutions.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from glide_jax.models import kernels, layers
from glide_jax.models.batch_norm import BatchNorm, folded
from glide_jax.models.pure import Pure
from glide_jax.types import Array

SIZE = 224
"""Of the images that it takes."""

CLASSES = 1000
STEM, HEAD = 32, 1280
"""Channels of the first and last convolution."""

GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, size of the kernel, stride of the first, expansion, channels out (Tan & Le, table 1)."""


class BlockSizes(NamedTuple):
    """Of an inverted residual block.

    Attributes:
        width_in, inner, width_out: channels of its input, inside, and of its result.
        kernel: height and width of the depthwise convolution's.
        stride: of it.
    """

    width_in: int
    inner: int
    width_out: int
    kernel: int
    stride: int

    @property
    def expands(self) -> bool:
        """Whether it begins with a convolution to `inner` channels."""
        return self.inner != self.width_in

    @property
    def has_skip(self) -> bool:
        """Whether its input is added to its result."""
        return self.stride == 1 and self.width_in == self.width_out


def _block_sizes() -> Iterator[BlockSizes]:
    width_in = STEM
    for count, kernel, stride, expansion, width_out in GROUPS:
        for i in range(count):
            first_stride = stride if i == 0 else 1
            yield BlockSizes(width_in, expansion * width_in, width_out, kernel, first_stride)
            width_in = width_out


BLOCKS = tuple(_block_sizes())


class EfficientNetFeatures(NamedTuple):
    """What the network makes of b images, f32.

    Attributes:
        pool: [b 1280], means over the pixels of the last convolution.
        logits: [b 1000].
    """

    pool: Array
    logits: Array


@dataclasses.dataclass(frozen=True)
class EfficientNetLite:
    """The network as pure functions of its weights.

    Attributes:
        shapes: every published weight's name, shape and dtype.
        init: key → params.
        prepare: params → prepared weights, folded.
        apply: (prepared, x: f32[b 224 224 3] in about [-1, 1]) → EfficientNetFeatures.
    """

    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], dict[str, Array]]
    prepare: Callable[[Mapping[str, Array | np.ndarray]], dict[str, np.ndarray]]
    apply: Callable[[Mapping[str, Any], Array], EfficientNetFeatures]


@functools.cache
def efficientnet_lite() -> EfficientNetLite:
    """The network in float32; no weights are created."""
    pure = Pure(_Weights)
    return EfficientNetLite(pure.shapes, pure.init, prepare, apply)


def network_input(pixels: Array) -> Array:
    """Resized pixels from 0 to 255 as the network reads them: (x − 127) / 128."""
    return (pixels - 127) / 128


class _Convolution(nnx.Module):
    def __init__(self, shape: tuple[int, int, int, int], rngs: nnx.Rngs):
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), shape))
        self.norm = BatchNorm(shape[-1])


class _Block(nnx.Module):
    def __init__(self, sizes: BlockSizes, rngs: nnx.Rngs):
        if sizes.expands:
            self.expand = _Convolution((1, 1, sizes.width_in, sizes.inner), rngs)
        self.depthwise = _Convolution((sizes.kernel, sizes.kernel, 1, sizes.inner), rngs)
        self.project = _Convolution((1, 1, sizes.inner, sizes.width_out), rngs)


class _Weights(nnx.Module):
    """The published weights."""

    def __init__(self, rngs: nnx.Rngs):
        self.stem = _Convolution((3, 3, 3, STEM), rngs)
        self.blocks = layers.module_list(_Block(sizes, rngs) for sizes in BLOCKS)
        self.head = _Convolution((1, 1, BLOCKS[-1].width_out, HEAD), rngs)
        self.fc = nnx.Linear(HEAD, CLASSES, rngs=rngs)


def convolution_names() -> list[str]:
    """The path of every convolution."""
    parts = [("expand",) * sizes.expands + ("depthwise", "project") for sizes in BLOCKS]
    inside = [f"blocks.{i}.{name}" for i, names in enumerate(parts) for name in names]
    return ["stem", *inside, "head"]


def prepare(params: Mapping[str, Array | np.ndarray]) -> dict[str, np.ndarray]:
    """The published weights as `apply` takes them: `NAME.kernel` and `NAME.bias` of each layer."""
    prepared = {name: np.asarray(params[name]) for name in ("fc.kernel", "fc.bias")}
    for name in convolution_names():
        kernel, bias = folded(params, name)
        prepared |= {f"{name}.kernel": kernel, f"{name}.bias": bias}
    return prepared


def apply(prepared: Mapping[str, Any], x: Array) -> EfficientNetFeatures:
    """See `EfficientNetLite.apply`."""

    def convolve(name: str, x: Array, stride: int = 1) -> Array:
        kernel, bias = (prepared[f"{name}.{part}"] for part in ("kernel", "bias"))
        if name.endswith("depthwise"):
            return kernels.depthwise_convolution(x, kernel, stride) + bias[None, None, None]
        return kernels.any_convolution(x, kernel, stride, "SAME") + bias[None, None, None]

    h = jax.nn.relu6(convolve("stem", x, stride=2))
    for i, sizes in enumerate(BLOCKS):
        inner = jax.nn.relu6(convolve(f"blocks.{i}.expand", h)) if sizes.expands else h
        inner = jax.nn.relu6(convolve(f"blocks.{i}.depthwise", inner, sizes.stride))
        out = convolve(f"blocks.{i}.project", inner)
        h = h + out if sizes.has_skip else out
    h = jax.nn.relu6(convolve("head", h))
    pool = h.mean((1, 2))
    logits = pool @ prepared["fc.kernel"] + prepared["fc.bias"][None]
    return EfficientNetFeatures(pool, logits)
