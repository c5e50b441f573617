"""Frozen text encoders by name, from files that people hold.

    files ─ opened, checked ─ read, cast, placed, one array at a time ─→ params ─┐
    captions ─ tokenizer ─ tokens[b l], mask[b l] ─ the encoder, compiled once ──┴─→ TextEmbedding

To add one, write a module with a function as `minilm.load`, and add a line to ENCODERS.
"""

from collections.abc import Callable
from pathlib import Path

from jax.sharding import Mesh

from glide_jax.config import DTYPES
from glide_jax.encoders import minilm, t5
from glide_jax.encoders.frozen import FrozenEncoder
from glide_jax.errors import UserError, unknown_name

__all__ = ["ENCODERS", "FrozenEncoder", "load_encoder"]

ENCODERS: dict[str, Callable[..., FrozenEncoder]] = {
    **t5.LOADERS,
    "minilm": minilm.load,
}
"""Name → what loads it: (path, *, dtype, mesh) → FrozenEncoder."""


def load_encoder(
    name: str, path: str | Path | None, *, dtype: str, mesh: Mesh | None = None
) -> FrozenEncoder:
    """Read an encoder's weights and tokenizer onto the device, or split over a mesh.

    Each array is read, cast, placed and dropped before the next, so that the machine's memory never
    holds a second copy of the model. stderr shows how far it is.

    Args:
        name: a key of ENCODERS.
        path: the folder with its files, in the layout of Hugging Face; None: where the encoder's
            Python package has put them, for those that have one.
        dtype: one of `config.DTYPES`; of the weights, of the computation and of the embeddings.
        mesh: of `parallel.mesh`; the weights are split over its axis `fsdp`, the captions over all
            its devices. None: JAX's first device.

    Returns:
        The encoder. Its `release` frees the device's memory.

    Raises:
        UserError: unknown name or dtype; the files are not there, incomplete (what is missing is
            named before anything is read) or another model's; or the device has too little memory.
    """
    if name not in ENCODERS:
        raise unknown_name("text encoder", name, ENCODERS)
    if dtype not in DTYPES:
        # Not float16, in which T5 overflows; files in it are read.
        raise UserError(f"a text encoder computes in {' or '.join(DTYPES)}, not {dtype!r}")
    return ENCODERS[name](None if path is None else Path(path), dtype=dtype, mesh=mesh)
