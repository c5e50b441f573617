"""A frozen encoder: its tokenizer, its compiled function and its weights on the device."""

import contextlib
import ctypes
import gc
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, SingleDeviceSharding

from glide_jax.encoders.placing import Layout, on_devices, read_weights
from glide_jax.errors import UserError
from glide_jax.parallel.mesh import batch_sharding, replicated
from glide_jax.text.encoder import TextEmbedding
from glide_jax.text.tokenizer import FrozenTokenizer, tokenize
from glide_jax.types import Array, Params

ROWS = 16
"""Captions that a GPU or TPU encodes at once."""

CPU_ROWS = 4
"""On a CPU more are hardly faster, and a prompt with its null caption should not wait for them."""


class FrozenEncoder:
    """A `text.TextEncoder` whose weights are on JAX's devices.

    A caption's embedding doesn't depend on its neighbours or their number: it is always computed in
    a batch of the same size, which is filled up. One program is compiled per `length`.

    Attributes:
        name, fingerprint, width: see `text.encoder.TextEncoder`.
        max_length: the largest `length`; None: any.
        dtype: of the embeddings.
    """

    def __init__(
        self,
        name: str,
        *,
        tokenizer: FrozenTokenizer,
        params: Params,
        apply: Callable[[Params, Array, Array], Array],
        fingerprint: str,
        width: int,
        max_length: int | None,
        mesh: Mesh | None,
    ):
        """`frozen_encoder` reads the arguments from files."""
        self.name, self.fingerprint, self.width = name, fingerprint, width
        self.max_length = max_length
        self._tokenizer = tokenizer
        self._params: Params | None = params
        self.dtype = next(iter(params.values())).dtype
        devices = jax.local_devices()[:1] if mesh is None else mesh.devices.flat
        self._on_cpu = devices[0].platform == "cpu"
        self._rows = (CPU_ROWS if self._on_cpu else ROWS) * len(devices)
        self._batch = SingleDeviceSharding(devices[0]) if mesh is None else batch_sharding(mesh)
        # Replicated, so that every process can read the result.
        compiled = (
            jax.jit(apply) if mesh is None else jax.jit(apply, out_shardings=replicated(mesh))
        )
        self._apply: Any = compiled

    def encode(self, captions: Sequence[str], length: int) -> TextEmbedding:
        """Encode captions, each cut or padded to `length` tokens; "" is the null caption.

        Of several processes all must encode the same captions; each gets all embeddings.

        Args:
            captions: b texts.
            length: l, tokens; at most `max_length`.

        Returns:
            A TextEmbedding of NumPy arrays; embedding: [b l width], float32 or bfloat16. `cut` is
            True for captions of more than `length` tokens.

        Raises:
            UserError: `length` is larger than `max_length`, or leaves no room for the special
                tokens.
            ValueError: it has been released.
        """
        if self._params is None:
            raise ValueError(f"the encoder {self.name} has been released")
        if self.max_length is not None and length > self.max_length:
            raise UserError(
                f"text.length={length} is more than {self.name} can encode; set it to "
                f"{self.max_length} or less"
            )
        batch, rows = tokenize(self._tokenizer, captions, length), self._rows
        pending: list[Array] = []
        done: list[np.ndarray] = []
        for start in range(0, len(captions), rows):
            tokens, mask = (self._filled(x[start : start + rows]) for x in (batch[0], batch[1]))
            pending.append(self._apply(self._params, tokens, mask))
            if len(pending) > 1:  # the next batch is computed while one is copied
                done.append(np.asarray(pending.pop(0)))
        done += map(np.asarray, pending)
        nothing = np.zeros((0, length, self.width), self.dtype)
        together = np.concatenate([nothing, *done])
        return TextEmbedding(together[: len(captions)], batch.mask, batch.cut)

    def release(self) -> None:
        """Free the device's memory. It can't encode any more."""
        for array in (self._params or {}).values():
            array.delete()
        self._params = None
        self._apply.clear_cache()
        if self._on_cpu:
            gc.collect()  # JAX gives up what NumPy has made when Python collects
            _return_freed_memory()

    def _filled(self, rows: np.ndarray) -> Array:
        """A batch of the one size, on the devices."""
        missing = self._rows - len(rows)
        filled = np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
        return on_devices(filled, self._batch)


def frozen_encoder(
    name: str,
    path: Path,
    *,
    tokenizer: FrozenTokenizer,
    layout: Layout,
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    apply: Callable[[Params, Array, Array], Array],
    max_length: int | None,
    mesh: Mesh | None,
) -> FrozenEncoder:
    """An encoder whose weights are read from files.

    Args:
        name: for people.
        path: a folder or file, as for `interop.weights.open_weights`.
        tokenizer: of its captions.
        layout: what the weights are called there.
        shapes: every weight's shape and dtype, by our path.
        apply: (params, tokens: i32[b l], mask: bool[b l]) → [b l width].
        max_length: the largest l; None: any.
        mesh: as for `load_encoder`.

    Raises:
        UserError: as `load_encoder`.
    """
    params, weights = read_weights(path, layout, shapes, mesh, name)
    one = jax.ShapeDtypeStruct((1, 8), np.int32), jax.ShapeDtypeStruct((1, 8), np.bool_)
    width = jax.eval_shape(apply, shapes, *one).shape[-1]
    both = f"{weights}\n{tokenizer.fingerprint()}"
    return FrozenEncoder(
        name,
        tokenizer=tokenizer,
        params=params,
        apply=apply,
        fingerprint=hashlib.sha256(both.encode()).hexdigest(),
        width=width,
        max_length=max_length,
        mesh=mesh,
    )


def _return_freed_memory() -> None:
    """Let the C library give back what is free: of a model's arrays it would keep most."""
    with contextlib.suppress(OSError, AttributeError):  # another library than Linux's
        ctypes.CDLL(None).malloc_trim(0)
