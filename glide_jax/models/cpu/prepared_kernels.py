"""Transform the kernels of a model's convolutions once, before a loop of many calls.

On a CPU a Winograd convolution multiplies by its transformed kernel (`models.cpu.convolution`):
sixteen matrices instead of nine. To compute them again at every step takes a fifth of the time of
a guided call of GLIDE's base model. They are stored beside the weights, under their own names.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.models.cpu.convolution import transform_kernel
from glide_jax.types import Array, Params

Convolution = Callable[..., Array]


def prepare(
    bind: Callable[[Params], nnx.Module],
    run: Callable[[nnx.Module], object],
    params: Params,
    *,
    hook: Convolution,
    applies: Callable[[Array, Array], bool],
) -> Params:
    """The transformed kernels of the convolutions that a run computes by Winograd.

    Args:
        bind: params → a module with these weights.
        run: calls the module; it is traced, not computed.
        params: the weights.
        hook: the `conv_general_dilated` of the convolutions to look at; the others stay.
        applies: (x, kernel) → whether that convolution takes a transformed kernel.

    Returns:
        f32[c o] each, under the names that `use` looks for.
    """
    found: set[str] = set()

    def trace(params: Params) -> None:
        module = bind(params)
        for name, conv in _convolutions(module, hook):
            conv.conv_general_dilated = _recording(name, found, applies)
        run(module)

    jax.eval_shape(trace, params)
    return {
        _name(name, i): matrix
        for name in sorted(found)
        for i, matrix in enumerate(transform_kernel(params[f"{name}.kernel"].astype(jnp.float32)))
    }


def use(module: nnx.Module, params: Params, *, hook: Convolution) -> None:
    """Pass the transformed kernels that are among `params` to the hook, as `transformed`."""
    for name, conv in _convolutions(module, hook):
        if _name(name, 0) in params:
            transformed = [params[_name(name, i)] for i in range(16)]
            conv.conv_general_dilated = functools.partial(hook, transformed=transformed)


def _convolutions(module: nnx.Module, hook: Convolution) -> list[tuple[str, nnx.Conv]]:
    return [
        (".".join(map(str, path)), part)
        for path, part in nnx.iter_graph(module)
        if isinstance(part, nnx.Conv) and part.conv_general_dilated is hook
    ]


def _recording(name: str, found: set[str], applies: Callable[[Array, Array], bool]) -> Convolution:
    def convolve(x: Array, kernel: Array, *arguments, **more) -> Array:
        if applies(x, kernel):
            found.add(name)
        return jax.lax.conv_general_dilated(x, kernel, *arguments, **more)

    return convolve


def _name(convolution: str, i: int) -> str:
    return f"{convolution}.kernel winograd {i}"
