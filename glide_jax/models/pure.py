"""From flax modules to pure functions of a flat dict of arrays.

Outside this package a model is (params, functions of params), without modules or state.
`params["input_blocks.3.0.in_conv.kernel"]` shows the naming scheme: attributes and indices,
joined by dots.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from glide_jax.types import Array, Params

M = TypeVar("M", bound=nnx.Module)


class Pure(Generic[M]):
    """A module split once: its structure is kept here, its weights by the caller."""

    def __init__(self, build: Callable[[nnx.Rngs], M]):
        """Trace `build` for shapes; no weights are created.

        Args:
            build: rngs → module, whose only state is `nnx.Param`s.
        """
        self._build = build
        abstract = nnx.eval_shape(lambda: build(_keys(jax.random.key(0))))
        self._graph, state = nnx.split(abstract, nnx.Param)
        self._variables = [(_name(path), path, v) for path, v in nnx.to_flat_state(state)]
        self.shapes: dict[str, jax.ShapeDtypeStruct] = {
            name: jax.ShapeDtypeStruct(v.shape, v.dtype) for name, _, v in self._variables
        }

    def init(self, key: Array) -> Params:
        """New weights; the same key gives the same weights. Jit it to make them in place."""
        state = nnx.state(self._build(_keys(key)), nnx.Param)
        return {_name(path): variable[...] for path, variable in nnx.to_flat_state(state)}

    def bind(self, params: Params) -> M:
        """The module with these weights in it, for use inside one function.

        Weights that are stored in another dtype than `shapes` has are cast to it: what is computed
        is the same as of the cast weights. A layer that computes in the stored dtype casts them
        back, and XLA removes both.
        """
        items = [
            (path, v.replace(params[name].astype(v.dtype))) for name, path, v in self._variables
        ]
        return nnx.merge(self._graph, nnx.from_flat_state(items))


@dataclasses.dataclass(frozen=True)
class PureEncoder:
    """A frozen text encoder as pure functions of its weights.

    Attributes:
        config: what it was built from.
        dtype: of the weights and of matrix products.
        shapes: every weight's name, shape and dtype.
        init: key → params.
        apply: (params, tokens: i32[b l], mask: bool[b l], True where a token is the caption's) →
            [b l width] of `dtype`. Only positions whose mask is True are attended to.
    """

    config: Any
    dtype: jnp.dtype
    shapes: dict[str, jax.ShapeDtypeStruct]
    init: Callable[[Array], Params]
    apply: Callable[[Params, Array, Array], Array]


def pure_encoder(
    config: Any, dtype: jnp.dtype, build: Callable[[nnx.Rngs], Callable[[Array, Array], Array]]
) -> PureEncoder:
    """An encoder; no weights are created.

    Args:
        config: its sizes.
        dtype: of the weights and of matrix products.
        build: rngs → module, called with tokens and mask.
    """
    module: Any = build
    pure = Pure(module)

    def apply(params: Params, tokens: Array, mask: Array) -> Array:
        return pure.bind(params)(tokens, mask)

    return PureEncoder(config, dtype, pure.shapes, pure.init, apply)


class _Keys:
    """The keys that `nnx.Rngs(key)` gives, counted in Python.

    Rngs counts in an array; while a module is traced, each count costs as much as everything
    traced before it: six seconds for GLIDE's base model.
    """

    def __init__(self, key: Array):
        self._key, self._count = key, 0

    def params(self) -> Array:
        """The next key."""
        key = jax.random.fold_in(self._key, self._count)
        self._count += 1
        return key


def _keys(key: Array) -> Any:
    return _Keys(key)


def _name(path: tuple) -> str:
    return ".".join(str(part) for part in path)
