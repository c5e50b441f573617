"""Kernels spread out once, before a loop that applies the same weights at every step.

On a CPU a 3×3 convolution takes its kernel spread out (`models.cpu_conv`): sixteen matrices in the
place of nine, a fifth of the time of a guided call of GLIDE's base model. They lie beside the
weights, under names of their own.
"""

import functools
from collections.abc import Callable

import jax
from flax import nnx

from glide_jax.models import layers
from glide_jax.models.cpu_conv import spread_kernel, takes_spread_kernel
from glide_jax.types import Array, Params


def spread_kernels(
    bind: Callable[[Params], nnx.Module],
    run: Callable[[nnx.Module], object],
    params: Params,
) -> Params:
    """The kernels that a run takes spread out, as `use_spread_kernels` finds them.

    Args:
        bind: params → a module with them in it.
        run: module → anything; traced, and not computed.
        params: the weights.

    Returns:
        f32[c o] each; {} where nothing runs on a CPU in float32.
    """
    taking: set[str] = set()

    def noted(params: Params) -> None:
        module = bind(params)
        for name, conv in _convolutions(module):
            conv.conv_general_dilated = _noting(name, taking)
        run(module)

    jax.eval_shape(noted, params)
    return {
        _name(name, i): matrix
        for name in sorted(taking)
        for i, matrix in enumerate(spread_kernel(params[f"{name}.kernel"]))
    }


def use_spread_kernels(module: nnx.Module, params: Params) -> None:
    """Have the module's convolutions take those kernels spread out that are among the params."""
    for name, conv in _convolutions(module):
        if _name(name, 0) in params:
            spread = [params[_name(name, i)] for i in range(16)]
            conv.conv_general_dilated = functools.partial(layers.three_by_three, spread=spread)


def _convolutions(module: nnx.Module) -> list[tuple[str, nnx.Conv]]:
    return [
        (".".join(map(str, path)), part)
        for path, part in nnx.iter_modules(module)
        if isinstance(part, nnx.Conv) and part.conv_general_dilated is layers.three_by_three
    ]


def _noting(name: str, taking: set[str]) -> Callable[..., Array]:
    def convolve(x: Array, kernel: Array, *arguments, **more) -> Array:
        if layers.is_for_cpu(x) and takes_spread_kernel(x.shape, kernel.shape[-1]):
            taking.add(name)
        return jax.lax.conv_general_dilated(x, kernel, *arguments, **more)

    return convolve


def _name(convolution: str, i: int) -> str:
    return f"{convolution}.kernel spread {i}"
