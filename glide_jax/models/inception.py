"""The Inception-v3 that FID is defined by: TensorFlow's of 2015-12-05, with 1008 classes.

    x ─ stem ─ 5b 5c 5d ─ 6a ─ 6b 6c 6d 6e ─ 7a ─ 7b 7c ─ mean ─→ pool ─ fc ─→ logits
        71×71   35×35          17×17              8×8      2048               1008
                                   └─ 7 channels of 6d's 1×1 branch ─→ spatial, 17·17·7 = 2023

It is the network of Szegedy et al. 2016, but not torchvision's: mean pools leave the padding out,
and 7c's pool takes the maximum. Features of another Inception give another figure, which is no FID.

Batch normalisation is folded into the convolutions, and the 1×1 convolutions that begin a block's
branches are one product. So is the one behind a mean pool: the pool then comes after it, on fewer
channels, which is the same but for rounding.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from glide_jax.models import kernels
from glide_jax.models.batch_norm import BatchNorm, folded
from glide_jax.models.pure import Pure
from glide_jax.types import Array, Params

SIZE = 299
"""Of the images that it takes."""

CLASSES = 1008

SPATIAL_CHANNELS = 7
"""Of the first branch of mixed_6d, that sFID takes (Nash et al. 2021)."""

SPATIAL_BLOCK = "mixed_6d"

Sizes = tuple[int, int, int, int]
"""Of a convolution: channels in and out, height and width of the kernel."""


def _block_a(width: int, pool: int) -> dict[str, Sizes]:
    return {
        "branch1x1": (width, 64, 1, 1),
        "branch5x5_1": (width, 48, 1, 1),
        "branch5x5_2": (48, 64, 5, 5),
        "branch3x3dbl_1": (width, 64, 1, 1),
        "branch3x3dbl_2": (64, 96, 3, 3),
        "branch3x3dbl_3": (96, 96, 3, 3),
        "branch_pool": (width, pool, 1, 1),
    }


def _block_c(inner: int) -> dict[str, Sizes]:
    return {
        "branch1x1": (768, 192, 1, 1),
        "branch7x7_1": (768, inner, 1, 1),
        "branch7x7_2": (inner, inner, 1, 7),
        "branch7x7_3": (inner, 192, 7, 1),
        "branch7x7dbl_1": (768, inner, 1, 1),
        "branch7x7dbl_2": (inner, inner, 7, 1),
        "branch7x7dbl_3": (inner, inner, 1, 7),
        "branch7x7dbl_4": (inner, inner, 7, 1),
        "branch7x7dbl_5": (inner, 192, 1, 7),
        "branch_pool": (768, 192, 1, 1),
    }


def _block_e(width: int) -> dict[str, Sizes]:
    return {
        "branch1x1": (width, 320, 1, 1),
        "branch3x3_1": (width, 384, 1, 1),
        "branch3x3_2a": (384, 384, 1, 3),
        "branch3x3_2b": (384, 384, 3, 1),
        "branch3x3dbl_1": (width, 448, 1, 1),
        "branch3x3dbl_2": (448, 384, 3, 3),
        "branch3x3dbl_3a": (384, 384, 1, 3),
        "branch3x3dbl_3b": (384, 384, 3, 1),
        "branch_pool": (width, 192, 1, 1),
    }


BLOCKS: Mapping[str, Mapping[str, Sizes]] = {
    "mixed_5b": _block_a(192, 32),
    "mixed_5c": _block_a(256, 64),
    "mixed_5d": _block_a(288, 64),
    "mixed_6a": {
        "branch3x3": (288, 384, 3, 3),
        "branch3x3dbl_1": (288, 64, 1, 1),
        "branch3x3dbl_2": (64, 96, 3, 3),
        "branch3x3dbl_3": (96, 96, 3, 3),
    },
    "mixed_6b": _block_c(128),
    "mixed_6c": _block_c(160),
    "mixed_6d": _block_c(160),
    "mixed_6e": _block_c(192),
    "mixed_7a": {
        "branch3x3_1": (768, 192, 1, 1),
        "branch3x3_2": (192, 320, 3, 3),
        "branch7x7x3_1": (768, 192, 1, 1),
        "branch7x7x3_2": (192, 192, 1, 7),
        "branch7x7x3_3": (192, 192, 7, 1),
        "branch7x7x3_4": (192, 192, 3, 3),
    },
    "mixed_7b": _block_e(1280),
    "mixed_7c": _block_e(2048),
}
"""Block → its convolutions and their sizes, in PyTorch's words."""

CONVOLUTIONS: Mapping[str, Sizes] = {
    "conv2d_1a_3x3": (3, 32, 3, 3),
    "conv2d_2a_3x3": (32, 32, 3, 3),
    "conv2d_2b_3x3": (32, 64, 3, 3),
    "conv2d_3b_1x1": (64, 80, 1, 1),
    "conv2d_4a_3x3": (80, 192, 3, 3),
    **{f"{block}.{name}": sizes for block, each in BLOCKS.items() for name, sizes in each.items()},
}
"""Every convolution of the network by its path."""

FIRST = "first"
"""What the 1×1 convolutions of a block's input are called together."""


class InceptionFeatures(NamedTuple):
    """What the network makes of b images, f32.

    Attributes:
        first_pool, second_pool, mixed_6e: [b 64], [b 192], [b 768], means over the pixels there.
        pool: [b 2048], the features of FID, KID, precision and recall.
        spatial: [b 2023], those of sFID, channels last.
        logits: [b 1008].
        unbiased_logits: [b 1008], without fc's bias: those of the Inception Score.
    """

    first_pool: Array
    second_pool: Array
    mixed_6e: Array
    pool: Array
    spatial: Array
    logits: Array
    unbiased_logits: Array


@dataclasses.dataclass(frozen=True)
class Inception:
    """The network as pure functions of its weights.

    Attributes:
        shapes: every published weight's name, shape and dtype.
        init: key → params.
        prepare: params → prepared weights: folded, and joined.
        apply: (prepared, x: f32[b 299 299 3] in about [-1, 1]) → InceptionFeatures.
    """

    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    prepare: Callable[[Mapping[str, Array | np.ndarray]], dict[str, np.ndarray]]
    apply: Callable[[Mapping[str, Any], Array], InceptionFeatures]


@functools.cache
def inception() -> Inception:
    """The network in float32; no weights are created."""
    pure = Pure(_Weights)
    return Inception(pure.shapes, pure.init, prepare, apply)


def network_input(pixels: Array) -> Array:
    """Resized pixels from 0 to 255 as the network reads them: (x − 128) / 128, TensorFlow's."""
    return (pixels - 128) / 128


def network_input_of_pytorch(pixels: Array) -> Array:
    """The same for pytorch-fid's resize: 2 x / 255 − 1."""
    return 2 * (pixels / 255) - 1


class _Convolution(nnx.Module):
    def __init__(self, sizes: Sizes, rngs: nnx.Rngs):
        width_in, width_out, height, width = sizes
        shape = (height, width, width_in, width_out)
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), shape))
        self.norm = BatchNorm(width_out)


class _Block(nnx.Module):
    def __init__(self, convolutions: Mapping[str, Sizes], rngs: nnx.Rngs):
        for name, sizes in convolutions.items():
            setattr(self, name, _Convolution(sizes, rngs))


class _Weights(nnx.Module):
    """The published weights."""

    def __init__(self, rngs: nnx.Rngs):
        for name, sizes in CONVOLUTIONS.items():
            if "." not in name:
                setattr(self, name, _Convolution(sizes, rngs))
        for block, convolutions in BLOCKS.items():
            setattr(self, block, _Block(convolutions, rngs))
        self.fc = nnx.Linear(2048, CLASSES, rngs=rngs)


def prepare(params: Mapping[str, Array | np.ndarray]) -> dict[str, np.ndarray]:
    """The published weights as `apply` takes them, folded and joined.

    Returns:
        `NAME.kernel` and `NAME.bias` of each convolution; the 1×1 convolutions of a block's input
        are one, `BLOCK.first`.
    """
    layers = {name: folded(params, name) for name in CONVOLUTIONS}
    for block in BLOCKS:
        parts = [layers.pop(f"{block}.{name}") for name in first_of(block)]
        kernel, bias = (np.concatenate([part[i] for part in parts], axis=-1) for i in (0, 1))
        layers[f"{block}.{FIRST}"] = kernel, bias
    prepared = {name: np.asarray(params[name]) for name in ("fc.kernel", "fc.bias")}
    for name, (kernel, bias) in layers.items():
        prepared |= {f"{name}.kernel": kernel, f"{name}.bias": bias}
    return prepared


def first_of(block: str) -> list[str]:
    """The convolutions of a block that are computed as one: 1×1, of its input."""
    pooled = {"mixed_7c": ["branch_pool"]}.get(block, [])  # behind a maximum
    names = BLOCKS[block]
    width_in = next(iter(names.values()))[0]
    return [
        name
        for name, (width, _, *size) in names.items()
        if size == [1, 1] and width == width_in and name not in pooled
    ]


def apply(prepared: Mapping[str, Any], x: Array) -> InceptionFeatures:
    """See `Inception.apply`."""
    network = _Network(prepared)
    h = network.convolve("conv2d_1a_3x3", x, stride=2, padding="VALID")
    h = network.convolve("conv2d_2a_3x3", h, padding="VALID")
    h = first_pool = kernels.max_pool(network.convolve("conv2d_2b_3x3", h), 2, "VALID")
    h = network.convolve("conv2d_3b_1x1", h)
    h = network.convolve("conv2d_4a_3x3", h, padding="VALID")
    h = second_pool = kernels.max_pool(h, 2, "VALID")
    for block in ("mixed_5b", "mixed_5c", "mixed_5d"):
        h = network.block_a(block, h)
    h = network.block_b("mixed_6a", h)
    spatial = None
    for block in ("mixed_6b", "mixed_6c", "mixed_6d", "mixed_6e"):
        h = network.block_c(block, h)
        if block == SPATIAL_BLOCK:
            spatial = h[..., :SPATIAL_CHANNELS].reshape(len(h), -1)
    mixed_6e = h
    h = network.block_d("mixed_7a", h)
    h = network.block_e("mixed_7b", h)
    h = network.block_e("mixed_7c", h)
    assert spatial is not None
    pool = h.mean((1, 2))
    unbiased = pool @ prepared["fc.kernel"]
    return InceptionFeatures(
        first_pool=first_pool.mean((1, 2)),
        second_pool=second_pool.mean((1, 2)),
        mixed_6e=mixed_6e.mean((1, 2)),
        pool=pool,
        spatial=spatial,
        logits=unbiased + prepared["fc.bias"][None],
        unbiased_logits=unbiased,
    )


class _Network:
    """The blocks, on prepared weights."""

    def __init__(self, prepared: Mapping[str, Any]):
        self._prepared = prepared

    def convolve(self, name: str, x: Array, *, stride: int = 1, padding: str = "SAME") -> Array:
        """relu(kernel ∗ x + bias)."""
        return jax.nn.relu(self._linear(name, x, stride, padding))

    def _linear(self, name: str, x: Array, stride: int, padding: str) -> Array:
        kernel, bias = (self._prepared[f"{name}.{part}"] for part in ("kernel", "bias"))
        return kernels.any_convolution(x, kernel, stride, padding) + bias[None, None, None]

    def _first(self, block: str, x: Array) -> dict[str, Array]:
        """The results of a block's first convolutions, before relu, by name."""
        together, start, parts = self._linear(f"{block}.{FIRST}", x, 1, "VALID"), 0, {}
        for name in first_of(block):
            width = BLOCKS[block][name][1]
            part = together[..., start : start + width]
            part = _mean_pool(part) if name == "branch_pool" else part
            parts[name] = jax.nn.relu(part)
            start += width
        return parts

    def block_a(self, block: str, x: Array) -> Array:
        """[b 35 35 c] → [b 35 35 c']."""
        first = self._first(block, x)
        five = self.convolve(f"{block}.branch5x5_2", first["branch5x5_1"])
        three = self.convolve(f"{block}.branch3x3dbl_2", first["branch3x3dbl_1"])
        three = self.convolve(f"{block}.branch3x3dbl_3", three)
        return _join(first["branch1x1"], five, three, first["branch_pool"])

    def block_b(self, block: str, x: Array) -> Array:
        """[b 35 35 c] → [b 17 17 c']."""
        three = self.convolve(f"{block}.branch3x3", x, stride=2, padding="VALID")
        double = self._first(block, x)["branch3x3dbl_1"]
        double = self.convolve(f"{block}.branch3x3dbl_2", double)
        double = self.convolve(f"{block}.branch3x3dbl_3", double, stride=2, padding="VALID")
        return _join(three, double, kernels.max_pool(x, 2, "VALID"))

    def block_c(self, block: str, x: Array) -> Array:
        """[b 17 17 c] → the same shape."""
        first = self._first(block, x)
        seven, double = first["branch7x7_1"], first["branch7x7dbl_1"]
        for i in (2, 3):
            seven = self.convolve(f"{block}.branch7x7_{i}", seven)
        for i in (2, 3, 4, 5):
            double = self.convolve(f"{block}.branch7x7dbl_{i}", double)
        return _join(first["branch1x1"], seven, double, first["branch_pool"])

    def block_d(self, block: str, x: Array) -> Array:
        """[b 17 17 c] → [b 8 8 c']."""
        first = self._first(block, x)
        three = self.convolve(
            f"{block}.branch3x3_2", first["branch3x3_1"], stride=2, padding="VALID"
        )
        seven = first["branch7x7x3_1"]
        for i in (2, 3):
            seven = self.convolve(f"{block}.branch7x7x3_{i}", seven)
        seven = self.convolve(f"{block}.branch7x7x3_4", seven, stride=2, padding="VALID")
        return _join(three, seven, kernels.max_pool(x, 2, "VALID"))

    def block_e(self, block: str, x: Array) -> Array:
        """[b 8 8 c] → [b 8 8 2048]."""
        first = self._first(block, x)
        three = first["branch3x3_1"]
        double = self.convolve(f"{block}.branch3x3dbl_2", first["branch3x3dbl_1"])
        threes = [self.convolve(f"{block}.branch3x3_2{i}", three) for i in "ab"]
        doubles = [self.convolve(f"{block}.branch3x3dbl_3{i}", double) for i in "ab"]
        pooled = first.get("branch_pool")
        if pooled is None:
            pooled = self.convolve(f"{block}.branch_pool", kernels.max_pool(x, 1, "SAME"))
        return _join(first["branch1x1"], *threes, *doubles, pooled)


def _join(*branches: Array) -> Array:
    return jnp.concatenate(branches, axis=-1)


def _mean_pool(x: Array) -> Array:
    """Of the pixels among 3×3 that are there: the padding is not counted."""
    for axis in (1, 2):
        size = x.shape[axis]
        padded = jnp.pad(x, [(1, 1) if a == axis else (0, 0) for a in range(4)])
        first, second, third = (
            jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(3)
        )
        counts = np.full(size, 3, np.float32)
        counts[[0, -1]] = 2
        others = tuple(a for a in range(4) if a != axis)
        x = (first + second + third) / jnp.asarray(np.expand_dims(counts, others))
    return x
