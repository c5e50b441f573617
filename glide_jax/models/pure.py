"""From flax modules to pure functions of a flat dict of arrays.

Outside this package a model is (params, functions of params), without modules or state.
`params["input_blocks.3.0.in_conv.kernel"]` shows the naming scheme: attributes and indices,
joined by dots.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
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
        """The module with these weights in it, for use inside one function."""
        items = [(path, v.replace(params[name])) for name, path, v in self._variables]
        return nnx.merge(self._graph, nnx.from_flat_state(items))


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
