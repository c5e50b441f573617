"""State dicts in files: PyTorch's `.pt`, whose pickle is never run, and `.safetensors`.

Arrays come in as they lie in the file and are read where they are touched; they go out in one
dtype. A file is written beside its place and renamed when it is whole.
"""

import contextlib
import os
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from glide_jax.errors import UserError

StateDict = dict[str, np.ndarray]

DTYPES = {name: np.dtype(jnp.dtype(name)) for name in ("float32", "float16", "bfloat16")}
"""What weights may be stored in, by name."""


def read(path: str | Path) -> StateDict:
    """The arrays of a `.pt` or `.safetensors` file, by key.

    Args:
        path: the file; its name's ending says which it is.

    Returns:
        Arrays of a dtype of DTYPES, backed by the file where that can be.

    Raises:
        UserError: no such file, an ending nobody knows, a damaged file, or content that is no
            floating-point tensors by name; PyTorch is not installed, and it is a `.pt`.
    """
    path = Path(path)
    reader = _READERS[format_of(path)]
    if not path.is_file():
        raise UserError(f"no file {path}; is the path right?")
    arrays = reader(path)
    for key, array in arrays.items():
        if array.dtype not in DTYPES.values():
            raise UserError(
                f"{path}: {key} is {array.dtype}; weights are {', '.join(DTYPES)}: not a "
                "checkpoint of a model"
            )
    return arrays


def write(path: str | Path, arrays: Mapping[str, np.ndarray], dtype: str) -> None:
    """Write arrays as a `.pt` or `.safetensors` file, whole or not at all.

    Args:
        path: the file; its name's ending says which it becomes.
        arrays: float32, by key.
        dtype: what they are stored in, a name of DTYPES.

    Raises:
        UserError: an ending nobody knows, a weight too large for the dtype, or the file can't be
            written.
    """
    path = Path(path)
    writer = _WRITERS[format_of(path)]
    cast = {key: _cast(key, array, dtype) for key, array in arrays.items()}
    with _written(path) as part:
        try:
            writer(part, cast)
        except (safetensors.SafetensorError, RuntimeError) as error:
            # What the system said is in safetensors' words, and lost in PyTorch's.
            raise UserError(f"can't write {path}: is there room, and such a folder?") from error


def format_of(path: Path) -> str:
    """`pt` or `safetensors`, by the name's ending. Raises UserError for another."""
    name = path.suffix.removeprefix(".")
    if name not in _READERS:
        known = " or ".join(f".{known}" for known in _READERS)
        raise UserError(f"{path}: the name must end in {known}, by what the file is")
    return name


@contextlib.contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, to fill and move to its place; what is left of it goes.

    The folders above it are made, and go again where `path` does not come to be.

    Raises:
        UserError: the system refuses to write it.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        with _part_beside(path) as part:
            part.mkdir(parents=True)
            yield part
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # something came to be in it
                folder.rmdir()


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, renamed to it at the end. Raises as `folder_beside`."""
    with _part_beside(path) as part:
        yield part
        part.replace(path)


@contextlib.contextmanager
def _part_beside(path: Path) -> Iterator[Path]:
    """A name of this process's own beside `path`; whatever lies there at the end goes."""
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        yield part
    except OSError as error:
        raise UserError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                part.unlink()


def _cast(key: str, array: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        cast = np.asarray(array, DTYPES[dtype], order="C")
    if cast.dtype != array.dtype and np.any(np.isinf(cast) & np.isfinite(array)):
        raise UserError(
            f"{key} holds {np.abs(array).max():.6g}, and {dtype} ends at "
            f"{float(jnp.finfo(dtype).max):.6g}; use --dtype=bfloat16 or float32"
        )
    return cast


def _read_pt(path: Path) -> StateDict:
    torch = _torch(path)
    try:
        # Files of before PyTorch 1.6 are no zip files, and can't be mapped.
        mapped = zipfile.is_zipfile(path)
        with warnings.catch_warnings():  # of pickles that it then refuses
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is damaged, or holds more than tensors; no code in it was run. Get a state "
            "dict of tensors alone"
        ) from error
    except Exception as error:
        # PyTorch raises anything here, by where the file breaks off.
        raise _damaged(path) from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds a {type(content).__name__}, not tensors by name")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise UserError(
                f"{path}: {key!r} is a {type(value).__name__}, not a tensor; save the model's "
                "state_dict() alone"
            )
    return {key: _numpy(torch, path, key, value) for key, value in content.items()}


def _numpy(torch: Any, path: Path, key: str, tensor: Any) -> np.ndarray:
    try:
        if tensor.dtype == torch.bfloat16:  # NumPy has no such dtype of its own
            return tensor.detach().view(torch.int16).numpy().view(DTYPES["bfloat16"])
        return tensor.detach().numpy()
    except (RuntimeError, TypeError) as error:
        what = f"{tensor.dtype}, {tensor.layout}"
        raise UserError(f"{path}: {key} is {what}, and no plain array") from error


def _read_safetensors(path: Path) -> StateDict:
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise _damaged(path) from error


def _write_pt(path: Path, arrays: StateDict) -> None:
    torch = _torch(path)

    def tensor(array: np.ndarray) -> Any:
        # PyTorch wants to be able to write to it; JAX's arrays are not for that.
        array = np.require(array, requirements="W")
        if array.dtype == DTYPES["bfloat16"]:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    torch.save({key: tensor(array) for key, array in arrays.items()}, path)


def _write_safetensors(path: Path, arrays: StateDict) -> None:
    path.touch()
    mode = path.stat().st_mode
    # PyTorch's loaders ask for this line.
    safetensors.numpy.save_file(arrays, path, metadata={"format": "pt"})
    path.chmod(mode)  # what any new file has; safetensors lets its owner alone read it


def _torch(path: Path) -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UserError(
            f'{path}: .pt needs PyTorch: pip install "glide_jax[torch]", or use .safetensors'
        ) from error
    return torch


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is no whole {path.suffix} file: damaged, cut short, or of another kind; get it "
        "again"
    )


_READERS: dict[str, Callable[[Path], StateDict]] = {
    "pt": _read_pt,
    "safetensors": _read_safetensors,
}
_WRITERS: dict[str, Callable[[Path, StateDict], None]] = {
    "pt": _write_pt,
    "safetensors": _write_safetensors,
}
