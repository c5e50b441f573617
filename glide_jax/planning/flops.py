"""The number of operations of a function: of its products and convolutions, from its jaxpr.

XLA's own count needs a compiler that runs in this process; those for GPUs and TPUs are plugins.
"""

import math
from collections.abc import Iterator
from typing import Any

import jax

Shapes = dict[str, jax.ShapeDtypeStruct]


def product_flops(jaxpr: Any) -> float:
    """The multiplications and additions in all matrix products and convolutions.

    A multiplication and the addition after it count as two. A convolution's padding counts as
    pixels do.

    Args:
        jaxpr: `jax.jit(f).trace(…).jaxpr`. A scan counts once for each iteration, a `while` once;
            of a condition's branches the longest counts.
    """
    return sum(_flops(equation) for equation in jaxpr.eqns)


def _flops(equation: Any) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return 2 * _size(equation.outvars[0]) * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        # `rhs_spec` gives the kernel's axes in the order [out, in of a group, h, w].
        out_axis = params["dimension_numbers"].rhs_spec[0]
        kernel = equation.invars[1].aval.shape
        return 2 * _size(equation.outvars[0]) * math.prod(kernel) / kernel[out_axis]
    parts = [product_flops(inner) for inner in _inner(params)]
    if name == "cond":
        return max(parts, default=0)
    return sum(parts) * params.get("length", 1)


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    for value in params.values():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(part, "jaxpr"):  # a ClosedJaxpr
                yield part.jaxpr
            elif hasattr(part, "eqns"):
                yield part


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)
