"""Weights as people hold them, read one at a time: a file, or a folder of shards with its index.

    model.safetensors                          model-00001-of-00002.safetensors, …
    pytorch_model.bin                          model.safetensors.index.json: key → file

Opening reads names and shapes alone. An array is read when it is asked for, in pieces, so that a
model of 10 GB needs no more memory than the arrays that its reader keeps. What is PyTorch's is
memory-mapped, and never unpickled, see `files`.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
import safetensors

from glide_jax.errors import UserError, a_few
from glide_jax.interop import files, foreign

PIECE_BYTES = 2**24
"""What is read of an array at a time."""

STEMS = ("model", "diffusion_pytorch_model", "pytorch_model")
"""What Transformers and Diffusers call their files of weights; the first that is there is read."""

_SUFFIXES = (".safetensors", ".bin")
_INDEX = ".index.json"
_SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)(\.\w+)")

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""safetensors' names of dtypes → NumPy's."""


class _Storage(Protocol):
    """Where the elements of an array are."""

    def elements(self, start: int, stop: int) -> np.ndarray:
        """Those of the flattened array from `start` to `stop`."""
        ...


class LazyArray:
    """An array in a file; `np.asarray` of it reads it.

    Attributes:
        shape, ndim, dtype, size: as in the file.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, storage: _Storage):
        self.shape, self.dtype, self.size = shape, dtype, math.prod(shape)
        self.ndim, self._storage = len(shape), storage

    def __len__(self) -> int:
        return self.shape[0]

    def pieces(self) -> Iterator[np.ndarray]:
        """The flattened array, from its first to its last element, PIECE_BYTES at a time."""
        step = max(1, PIECE_BYTES // self.dtype.itemsize)
        for start in range(0, self.size, step):
            yield self._storage.elements(start, min(start + step, self.size))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array, start = np.empty(self.size, self.dtype if dtype is None else dtype), 0
        for piece in self.pieces():
            array[start : start + piece.size] = piece
            start += piece.size
        return array.reshape(self.shape)


class _InFile:
    """A run of bytes of a file, read and not mapped: mapped pages would count as memory in use."""

    def __init__(self, path: Path, offset: int, dtype: np.dtype):
        self._path, self._offset, self._dtype = path, offset, dtype

    def elements(self, start: int, stop: int) -> np.ndarray:
        offset = self._offset + start * self._dtype.itemsize
        try:
            read = np.fromfile(self._path, self._dtype, stop - start, offset=offset)
        except OSError as error:
            raise UserError(f"can't read {self._path}: {error.strerror or error}") from error
        if read.size < stop - start:
            raise UserError(f"{self._path} became shorter while it was read; is it being copied?")
        return read


class _InMemory:
    """An array that PyTorch has mapped."""

    def __init__(self, array: np.ndarray):
        self._flat = array.reshape(-1)

    def elements(self, start: int, stop: int) -> np.ndarray:
        return self._flat[start:stop]


def open_weights(path: str | Path) -> dict[str, LazyArray]:
    """The arrays of a file or folder of weights, by key; none of them is read yet.

    Wrappers, prefixes and counters of training code are removed, see `interop.foreign`.

    Args:
        path: a file with an ending in `files.ENDINGS`, or a folder with such files in the layout of
            Hugging Face: one, or shards, with or without the index that lists them. Of several
            kinds in one folder safetensors is taken.

    Returns:
        Key → array, of the dtype that it has in the file.

    Raises:
        UserError: no such file, or no weights in the folder; a shard is missing, and is named; a
            file is damaged or of another kind.
    """
    path = Path(path)
    arrays: dict[str, LazyArray] = {}
    for file, wanted in _files(path).items():
        found = _open(file)
        if missing := sorted(wanted - found.keys()):
            raise UserError(
                f"{file} has no {a_few(missing)}, which its index has: it is another model's, or "
                "damaged; get both again"
            )
        if doubled := sorted(arrays.keys() & found.keys()):
            raise UserError(f"{path}: {a_few(doubled)} is in two of its files; keep one model's")
        arrays.update(found)
    try:
        return foreign.plain(arrays)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _files(path: Path) -> dict[Path, set[str]]:
    """Each file to open → the keys that an index expects in it."""
    if path.name.endswith(_INDEX):
        return _indexed(path)
    if not path.is_dir():
        return {path: set()}
    for suffix in _SUFFIXES:
        for stem in STEMS:
            if (index := path / f"{stem}{suffix}{_INDEX}").is_file():
                return _indexed(index)
            if (file := path / f"{stem}{suffix}").is_file():
                return {file: set()}
            if shards := sorted(path.glob(f"{stem}-*-of-*{suffix}")):
                return {shard: set() for shard in _complete(shards)}
    others = sorted(f for f in path.iterdir() if f.suffix in files.ENDINGS)
    if len(others) == 1:
        return {others[0]: set()}
    if others:
        names = a_few([f.name for f in others])
        raise UserError(f"{path} holds several files of weights ({names}): give one of them")
    raise UserError(
        f"no weights in {path}: there is no {' or '.join(map('model{}'.format, _SUFFIXES))}"
    )


def _indexed(index: Path) -> dict[Path, set[str]]:
    """The shards of an index, all of which are there."""
    try:
        places = json.loads(index.read_text("utf-8"))["weight_map"]
        found: dict[Path, set[str]] = {}
        for key, name in places.items():
            if Path(name).name != name:
                raise ValueError(name)
            found.setdefault(index.parent / name, set()).add(key)
    except OSError as error:
        raise UserError(f"can't read {index}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index} is not an index of weights; get it again") from error
    _require(sorted(found))
    return found


def _complete(shards: list[Path]) -> list[Path]:
    """The shards of a model without an index, by the numbers in their names."""
    stem, number, count, suffix = _SHARD.fullmatch(shards[0].name).groups()  # pyright: ignore
    names = [f"{stem}-{i:0{len(number)}d}-of-{count}{suffix}" for i in range(1, int(count) + 1)]
    complete = [shards[0].parent / name for name in names]
    _require(complete)
    return complete


def _require(shards: list[Path]) -> None:
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise UserError(
            f"{shards[0].parent} lacks {a_few(missing)}, {len(missing)} of its {len(shards)} files "
            "of weights: get the rest of the model"
        )


def _open(path: Path) -> Mapping[str, LazyArray]:
    if path.suffix == ".safetensors":
        return _open_safetensors(path)
    arrays = files.read_everything(path)
    return {k: LazyArray(a.shape, a.dtype, _InMemory(a)) for k, a in arrays.items()}


def _open_safetensors(path: Path) -> dict[str, LazyArray]:
    if not path.is_file():
        raise UserError(f"no file {path}; is the path right?")
    try:
        # It checks the header, sizes and offsets included, and hands out no offsets.
        with safetensors.safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise files.damaged(path) from error
    header.pop("__metadata__", None)
    arrays = {}
    for key, entry in header.items():
        if entry["dtype"] not in _DTYPES:
            raise UserError(
                f"{path}: {key} is {entry['dtype']}; known are {', '.join(_DTYPES)}: get the model "
                "in another dtype"
            )
        dtype = np.dtype(jnp.dtype(_DTYPES[entry["dtype"]]))
        storage = _InFile(path, 8 + length + entry["data_offsets"][0], dtype)
        arrays[key] = LazyArray(tuple(entry["shape"]), dtype, storage)
    return arrays
