"""Kernels: how convolutions and attention are computed on the platform they run on.

The only place where the models' code depends on the platform. On a CPU it calls `models.cpu`, on
a GPU cuDNN's flash attention where there is one, and XLA's operations everywhere else. Whatever
it chooses, the results are equal but for rounding.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from glide_jax.models.cpu import attention as cpu_attention
from glide_jax.models.cpu import convolution as cpu_convolution
from glide_jax.models.cpu import depthwise as cpu_depthwise
from glide_jax.models.cpu import inference as cpu_inference
from glide_jax.models.cpu import prepared_kernels
from glide_jax.models.platforms import platform_of
from glide_jax.types import Array, Params

FLASH_DTYPES = ("float16", "bfloat16")
FLASH_HEAD_CHANNELS = 128
"""cuDNN's flash attention takes these dtypes, and heads of a multiple of 8 channels up to this."""

FLASH_CAPABILITY = (8, 0)
"""The oldest CUDA compute capability that has it: Ampere's."""

SAVED_CONVOLUTION = cpu_convolution.SAVED
"""The name under which rematerialisation can keep a convolution's result, see `remat`."""


def convolution(
    x: Array, kernel: Array, *arguments, transformed: Sequence[Array] | None = None, **more
) -> Array:
    """A 3×3 convolution with a stride of 1 and a padding of 1.

    Args:
        x: [b h w c].
        kernel: [3 3 c o], of x's dtype.
        transformed: the kernel's 16 Winograd matrices, [c o] each, where `prepare` has computed
            them; None: they are computed from `kernel` where they are needed.
        arguments, more: the other arguments of `jax.lax.conv_general_dilated`, in whose place an
            `nnx.Conv` calls this.

    Returns:
        [b h w o].
    """
    if _is_for_cpu(x):
        return cpu_convolution.convolve(x, kernel, transformed)
    return jax.lax.conv_general_dilated(x, kernel, *arguments, **more)


def pointwise_convolution(x: Array, kernel: Array, *_, **__) -> Array:
    """A 1×1 convolution as a matrix product, which takes a third of the time on a CPU.

    Args:
        x: [b h w c].
        kernel: [1 1 c o], of x's dtype.

    Returns:
        [b h w o].
    """
    return x @ kernel[0, 0]


def any_convolution(x: Array, kernel: Array, stride: int, padding: str) -> Array:
    """A convolution of any size, stride and padding, for inference.

    Args:
        x: [b h w c].
        kernel: [i j c o], of x's dtype.
        stride: in both directions.
        padding: "SAME", as TensorFlow's, or "VALID".

    Returns:
        [b h' w' o].
    """
    if kernel.shape[:2] == (1, 1) and stride == 1:
        return pointwise_convolution(x, kernel)
    if _is_for_cpu(x):
        return cpu_inference.convolve(x, kernel, stride, padding)
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=layout
    )


def max_pool(x: Array, stride: int, padding: str) -> Array:
    """The largest of 3×3 pixels.

    Args:
        x: [b h w c].
        stride: in both directions.
        padding: "SAME", which is no pixel's value, with a stride of 1; or "VALID".

    Returns:
        [b h' w' c].
    """
    if _is_for_cpu(x):
        return cpu_inference.max_pool(x, stride, padding)
    window, strides = (1, 3, 3, 1), (1, stride, stride, 1)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, padding)


def depthwise_convolution(x: Array, kernel: Array, stride: int) -> Array:
    """A convolution of each channel by itself, with TensorFlow's SAME padding.

    Args:
        x: [b h w c].
        kernel: [i j 1 c], of x's dtype.
        stride: in both directions.

    Returns:
        [b h' w' c].
    """
    if _is_for_cpu(x):
        return cpu_depthwise.convolve(x, kernel, stride)
    layout, strides = ("NHWC", "HWIO", "NHWC"), (stride, stride)
    return jax.lax.conv_general_dilated(
        x, kernel, strides, "SAME", dimension_numbers=layout, feature_group_count=x.shape[-1]
    )


def attention(
    query: Array,
    keys: Array,
    values: Array,
    *,
    is_causal: bool = False,
    mask: Array | None = None,
    bias: Array | None = None,
    scale: float | None = None,
) -> Array:
    """softmax(scale q kᵀ + bias) v, the softmax in float32 (Vaswani et al. 2017, eq. 1).

    GLIDE's models give neither mask nor bias: they were trained to attend to padding.

    Args:
        query: [b n heads d].
        keys: [b m heads d].
        values: [b m heads d].
        is_causal: query i attends only to keys 0 to i.
        mask: bool[b m], False where a key is attended to by no query; None: all are. Where no key
            is left, the result is the mean of the values: finite, and without meaning.
        bias: [1|b heads n m], added to the scaled scores; None: nothing is.
        scale: of the scores; None: 1/√d.

    Returns:
        [b n heads d].
    """
    platform = platform_of(query)
    if platform == "cpu":
        return cpu_attention.attend(
            query, keys, values, is_causal=is_causal, mask=mask, bias=bias, scale=scale
        )
    # A TPU needs no flash attention: images attend at 32×32 pixels and below, to about a thousand
    # keys, whose scores are small beside the activations. On a GPU cuDNN never stores the scores;
    # but with a mask or a bias it stores one as large as they are, and refuses odd lengths.
    plain = mask is None and bias is None
    flash = platform == "gpu" and plain and _flash_takes(query)
    return jax.nn.dot_product_attention(
        query,
        keys,
        values,
        is_causal=is_causal,
        mask=None if mask is None else mask[:, None, None],
        bias=bias,
        scale=scale,
        implementation="cudnn" if flash else "xla",
    )


def has_flash() -> bool:
    """Whether this process's GPUs have cuDNN's flash attention; AMD's don't."""
    device = jax.local_devices()[0]
    if device.platform != "gpu" or "cuda" not in device.client.platform_version:
        return False
    return tuple(map(int, device.compute_capability.split("."))) >= FLASH_CAPABILITY


def repeat_groups(groups: Array, width: int) -> Array:
    """Give each channel the figure of its group.

    Args:
        groups: f32[b g].
        width: c, the number of channels, a multiple of g.

    Returns:
        f32[b c].
    """
    num_groups = groups.shape[-1]
    if platform_of(groups) != "cpu":
        return jnp.repeat(groups, width // num_groups, axis=-1)
    # XLA would fuse a repeat into the loop over pixels and look each group up again for every
    # pixel; it does not fuse a matrix product.
    belongs = np.repeat(np.eye(num_groups, dtype=np.float32), width // num_groups, axis=1)
    return groups @ belongs


def prepare(
    bind: Callable[[Params], nnx.Module], run: Callable[[nnx.Module], object], params: Params
) -> Params:
    """Compute what `convolution` needs of the weights alone, once for many calls.

    Args:
        bind: params → a module with these weights.
        run: calls the module on the arguments to prepare for; it is traced, not computed.
        params: the weights.

    Returns:
        The transformed kernels, for `use_prepared`; {} where nothing runs on a CPU in float32.
    """
    return prepared_kernels.prepare(bind, run, params, hook=convolution, applies=_takes_transformed)


def in_compute_dtype(module: nnx.Module, prefix: str, params: Params) -> Params:
    """The weights that layers would cast at every call, cast once.

    A layer that computes in bfloat16 casts its float32 weights first: at every step of a loop that
    reads six bytes per weight, where the cast weights are two.

    Args:
        module: its convolutions and linear layers are looked at.
        prefix: the module's path in `params`.
        params: the weights.

    Returns:
        By path, in the dtype of their layer; {} where layers compute in their weights' dtype.
    """
    cast = {}
    for path, layer in nnx.iter_graph(module):
        if not isinstance(layer, nnx.Conv | nnx.Linear) or layer.dtype is None:
            continue
        for name in ("kernel", "bias"):
            full = ".".join([prefix, *map(str, path), name])
            if full in params and params[full].dtype != layer.dtype:
                cast[full] = params[full].astype(layer.dtype)
    return cast


def use_prepared(module: nnx.Module, params: Params) -> None:
    """Give the module's convolutions the transformed kernels that are among `params`."""
    prepared_kernels.use(module, params, hook=convolution)


def _is_for_cpu(x: Array) -> bool:
    return x.dtype == jnp.float32 and platform_of(x) == "cpu"


def _takes_transformed(x: Array, kernel: Array) -> bool:
    return _is_for_cpu(x) and cpu_convolution.takes_transformed(x.shape, kernel.shape[-1])


def _flash_takes(query: Array) -> bool:
    takes_dtype, channels = query.dtype.name in FLASH_DTYPES, query.shape[-1]
    return takes_dtype and channels % 8 == 0 and channels <= FLASH_HEAD_CHANNELS and has_flash()
