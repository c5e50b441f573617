"""How many operations a function takes: of its products and convolutions, read off its trace.

XLA's own count would want a compiler that is in this process, which those of GPUs and TPUs are not.
"""

import math
from collections.abc import Iterator
from typing import Any

import jax

Shapes = dict[str, jax.ShapeDtypeStruct]


def product_flops(jaxpr: Any) -> float:
    """Multiplications and additions of all matrix products and convolutions, a pair being two.

    A convolution's padding counts as pixels do.

    Args:
        jaxpr: what `jax.jit(f).trace(…).jaxpr` is. Loops are counted as often as they turn; of the
            branches of a condition, the longest; a loop that ends when it likes, once.
    """
    return sum(_flops(equation) for equation in jaxpr.eqns)


def _flops(equation: Any) -> float:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return 2 * _size(equation.outvars[0]) * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        # Kernels are [out, in of a group, h, w], in the order that `rhs_spec` says.
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
            if hasattr(part, "jaxpr"):  # with its constants
                yield part.jaxpr
            elif hasattr(part, "eqns"):
                yield part


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)
