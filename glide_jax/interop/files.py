"""State dicts in files: PyTorch's `.pt`, whose pickled code is never run, and `.safetensors`.

Arrays are read with the dtype they have in the file, and only when they are used; they are written
in one dtype. A file is written under a temporary name and renamed once it is complete.
"""

import contextlib
import json
import math
import os
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from glide_jax.errors import UserError
from glide_jax.interop import foreign
from glide_jax.storage import Scratch, is_in_bucket

StateDict = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]

DTYPES = {name: np.dtype(jnp.dtype(name)) for name in ("float32", "float16", "bfloat16")}
"""The dtypes that weights are written in, by name."""

_SAFETENSORS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_SAFETENSORS_ALIGNMENT = 8
"""Bytes, of where the arrays begin."""

_NO_MEMORY = "Cannot allocate memory"
"""In PyTorch's own message, as it raises no MemoryError."""

READABLE = (*DTYPES.values(), np.dtype(np.float64))
"""The dtypes that weights may have in a file."""


def read(path: str | Path) -> StateDict:
    """The arrays of a file of weights, by key.

    Wrappers, prefixes and counters of training code are removed, see `interop.foreign`.

    Args:
        path: the file; its ending, one of ENDINGS, says what it is.

    Returns:
        Arrays of a dtype of DTYPES or float64, memory-mapped where possible.

    Raises:
        UserError: there is no such file, its ending is unknown, it is damaged, or it doesn't hold
            floating-point tensors by name; or it is PyTorch's, and PyTorch is not installed.
    """
    path = Path(path)
    content = read_everything(path)
    try:
        arrays = foreign.plain(content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    for key, array in arrays.items():
        if array.dtype not in READABLE:
            raise UserError(
                f"{path}: {key} is {array.dtype}; weights are {', '.join(DTYPES)} or float64: not "
                "a checkpoint of a model"
            )
    return arrays


def read_everything(path: Path) -> StateDict:
    """The arrays of a file, counters and integers included, under the keys that it has.

    Raises:
        UserError: as `read`, but for the dtypes.
    """
    _require_ending(path, ENDINGS)
    if not path.is_file():
        raise UserError(f"no file {path}; is the path right?")
    return ENDINGS[path.suffix](path)


def write(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    dtype: str,
    *,
    shown: Path | None = None,
) -> None:
    """Write arrays as a `.pt` or `.safetensors` file, completely or not at all.

    Args:
        path: the file; its ending says which it becomes.
        arrays: float32, by key.
        dtype: what they are stored in, a name of DTYPES.
        shown: the path for error messages, where `path` is temporary; None: `path`.

    Raises:
        UserError: `require_writable` refuses the name, a weight is too large for the dtype, or the
            file can't be written.
    """
    shapes = {key: np.shape(array) for key, array in arrays.items()}
    write_each(path, shapes, arrays.items(), dtype, shown=shown)


def write_each(
    path: str | Path,
    shapes: Shapes,
    arrays: Iterable[tuple[str, np.ndarray]],
    dtype: str,
    *,
    shown: Path | None = None,
) -> None:
    """As `write`, one array after the other.

    Of a `.safetensors` file no two arrays need be in memory at once; of a `.pt` file all are, in
    the dtype that they are stored in.

    Args:
        path, dtype, shown: as for `write`.
        shapes: by key, of all arrays.
        arrays: (key, array), in any order.

    Raises:
        UserError: as `write`.
    """
    path = Path(path)
    shown = shown or path
    require_writable(shown)
    writer = _WRITERS[path.suffix]
    cast = ((key, _cast(key, array, dtype)) for key, array in arrays)
    with _part_beside(path, shown) as part:
        try:
            writer(part, shapes, cast, DTYPES[dtype])
        except (safetensors.SafetensorError, RuntimeError) as error:
            # PyTorch doesn't pass on the system's error.
            raise UserError(
                f"can't write {shown}: is there room, and does the folder exist?"
            ) from error
        part.replace(path)


def format_of(path: Path) -> str:
    """The format to write, `pt` or `safetensors`, by the name's ending; or a UserError."""
    _require_ending(path, _WRITERS)
    return path.suffix.removeprefix(".")


def require_writable(path: Path) -> None:
    """Raises UserError if `write` knows no such ending, or lacks the PyTorch that it needs."""
    if format_of(path) == "pt":
        _torch(path)


def _require_ending(path: Path, known: Iterable[str]) -> None:
    if path.suffix not in known:
        *others, last = known
        raise UserError(f"{path}: the name must end in {', '.join(others)} or {last}")


@contextlib.contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A new temporary folder beside `path`, to be filled and renamed; removed if it is still there.

    Beside what is in a bucket it is a local one, to be filled and copied. Otherwise its parent
    folders are made too, and removed again if nothing was put in them.

    Raises:
        UserError: the system refuses to write it.
    """
    if is_in_bucket(path):
        with Scratch() as scratch, _refused(path):
            yield scratch.folder
        return
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        with _part_beside(path, path) as part:
            part.mkdir(parents=True)
            yield part
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


@contextlib.contextmanager
def _part_beside(path: Path, shown: Path) -> Iterator[Path]:
    """A name beside `path` that only this process uses; what is left there is removed."""
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        with _refused(shown):
            yield part
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                part.unlink()


@contextlib.contextmanager
def _refused(shown: Path) -> Iterator[None]:
    """Turn what the system refuses into one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"can't write {shown}: {error.strerror or error}") from error


def _cast(key: str, array: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        cast = np.asarray(array, DTYPES[dtype], order="C")
    if cast.dtype != array.dtype and np.any(np.isinf(cast) & np.isfinite(array)):
        raise UserError(
            f"{key} holds {float(np.abs(array).max()):.6g}, and the largest {dtype} is "
            f"{float(jnp.finfo(dtype).max):.6g}; use --dtype=bfloat16 or float32"
        )
    return cast


def _read_pt(path: Path) -> StateDict:
    torch = _torch(path)
    try:
        # Files from before PyTorch 1.6 are no zip files, and can't be memory-mapped.
        mapped = zipfile.is_zipfile(path)
        with warnings.catch_warnings():  # about pickles that it then refuses
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is damaged, or holds more than tensors; no code in it was run. Save the "
            "model's state_dict() alone"
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        if _NO_MEMORY in str(error):
            raise MemoryError(f"of {path} all arrays must fit at once") from error
        # What PyTorch raises depends on where the file is cut off.
        raise damaged(path) from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds a {type(content).__name__}, not tensors by name")
    try:
        content = foreign.unwrapped(content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise UserError(
                f"{path}: {key!r} is a {type(value).__name__}, not a tensor; save the model's "
                "state_dict() alone"
            )
    return {key: _numpy(torch, path, key, value) for key, value in content.items()}


def _numpy(torch: Any, path: Path, key: str, tensor: Any) -> np.ndarray:
    try:
        if tensor.dtype == torch.bfloat16:  # NumPy itself has no such dtype
            return tensor.detach().view(torch.int16).numpy().view(DTYPES["bfloat16"])
        return tensor.detach().numpy()
    except (RuntimeError, TypeError) as error:
        what = f"{tensor.dtype}, {tensor.layout}"
        raise UserError(f"{path}: {key} is {what}, not a dense array") from error


def _read_safetensors(path: Path) -> StateDict:
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise damaged(path) from error


def _write_pt(
    path: Path, shapes: Shapes, arrays: Iterable[tuple[str, np.ndarray]], dtype: np.dtype
) -> None:
    torch = _torch(path)
    # Before the first array comes: between those that come and go, the memory of what is kept would
    # leave holes that nothing fits into, a third of the file with jaxlib 0.7.2.
    kept = {key: np.empty(shape, dtype) for key, shape in shapes.items()}
    left = set(shapes)
    for key, array in arrays:
        _require_shape(key, array, shapes)
        kept[key][...] = array
        left.discard(key)
    _require_none(left)

    def tensor(array: np.ndarray) -> Any:
        if array.dtype == DTYPES["bfloat16"]:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    torch.save({key: tensor(array) for key, array in kept.items()}, path)


def _write_safetensors(
    path: Path, shapes: Shapes, arrays: Iterable[tuple[str, np.ndarray]], dtype: np.dtype
) -> None:
    """The format's own library wants all arrays at once; a file is its header, then their bytes."""
    name = _SAFETENSORS[dtype.name]
    # PyTorch's loaders require this entry.
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    places, end = {}, 0
    for key, shape in sorted(shapes.items()):  # the same weights are the same file
        start, end = end, end + math.prod(shape) * dtype.itemsize
        places[key] = start
        header[key] = {"dtype": name, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _SAFETENSORS_ALIGNMENT)
    with path.open("wb") as file:
        first = file.write(len(text).to_bytes(8, "little") + text)
        for key, array in arrays:
            _require_shape(key, array, shapes)
            file.seek(first + places.pop(key))
            file.write(array.reshape(-1).view(np.uint8))
    _require_none(places)


def _require_shape(key: str, array: np.ndarray, shapes: Shapes) -> None:
    if array.shape != shapes[key]:
        raise ValueError(f"{key} is {array.shape}, not {shapes[key]}")


def _require_none(left: Iterable[str]) -> None:
    if missing := sorted(left):
        raise ValueError(f"no {', '.join(missing)}")


def _torch(path: Path) -> Any:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path}: {path.suffix} needs PyTorch: pip install 'glide_jax[torch]', or use "
            ".safetensors"
        ) from error
    return torch


def damaged(path: Path) -> UserError:
    """The error for a file that is not what its ending says."""
    return UserError(
        f"{path} is not a complete {path.suffix} file: it is damaged, cut off or of another kind; "
        "get it again"
    )


ENDINGS: dict[str, Callable[[Path], StateDict]] = {
    ".pt": _read_pt,
    ".pth": _read_pt,
    ".ckpt": _read_pt,
    ".bin": _read_pt,
    ".safetensors": _read_safetensors,
}
"""The ending of a file of weights → what reads it."""

_WRITERS: dict[str, Callable[[Path, Shapes, Iterable[tuple[str, np.ndarray]], np.dtype], None]] = {
    ".pt": _write_pt,
    ".safetensors": _write_safetensors,
}
