"""Images that somebody has: a folder of files, or an .npz as ADM's evaluator takes it."""

import collections
import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image

from glide_jax.data.images import SUFFIXES, open_image, to_rgb
from glide_jax.data.source import fingerprint_of
from glide_jax.errors import UserError, a_few, one_line
from glide_jax.evaluation.images.image_set import ImageSet
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.sampling.output import read_provenance
from glide_jax.sampling.request import Subject

ARRAY = "arr_0"
"""The array of images in an .npz, as `numpy.savez(file, images)` names it."""

_COLOUR_MODES = ("RGB", "YCbCr")
_GREY_MODES = ("1", "L", "I", "I;16", "I;16B", "F")
_READERS = 8
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
"""Of EXIF: the tag, and its values for images that lie on their side."""


class _Found(NamedTuple):
    """An image file, its pixels not read yet.

    Attributes:
        path: of the file.
        size: (width, height), upright.
        kind: what has to be converted, in words; "": nothing.
    """

    path: Path
    size: tuple[int, int]
    kind: str


def open_images(path: Path) -> ImageSet:
    """The images of a folder, or of an .npz.

    Raises:
        UserError: there is nothing there, or see `open_folder` and `open_npz`.
    """
    if path.is_dir():
        return open_folder(path)
    if path.is_file():
        return open_npz(path)
    raise UserError(f"there are no images {path}: give a folder of images, or an .npz")


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder and its sub-folders, by name; hidden ones are left out."""
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def open_folder(folder: Path) -> ImageSet:
    """The images of a folder and its sub-folders, in the order of their names.

    Grey images become RGB, and what is transparent is put on white; the notes count them.

    Args:
        folder: of image files, all of one size.

    Raises:
        UserError: it has no images, images of several sizes, or one that can't be read.
    """
    paths = image_files(folder)
    if not paths:
        raise UserError(f"there is no image in {folder}: give a folder of PNG or JPEG files")
    with ThreadPoolExecutor(_READERS) as threads:
        found = list(threads.map(_look, paths))
    width, height = _one_size(folder, found)
    fingerprint = fingerprint_of(
        part
        for path in paths
        for part in (path.relative_to(folder).as_posix(), path.stat().st_size)
    )
    return ImageSet(
        name=str(folder),
        height=height,
        width=width,
        count=len(paths),
        fingerprint=fingerprint,
        batches=lambda size: read_files(paths, size),
        notes=_conversions(found),
    )


def prompts_in(path: Path) -> PromptSet | None:
    """The prompts that a folder's own images say they were made from, as `glide-jax sample` notes.

    Returns:
        A prompt for each image, in the order of their names; None: one of them says nothing.
    """
    subjects = []
    for file in image_files(path) if path.is_dir() else ():
        try:
            made = read_provenance(file)
        except UserError:
            return None
        subjects.append(Subject(made.prompt, made.negative_prompt, made.label))
    if not subjects:
        return None
    fingerprint = fingerprint_of(subject.prompt for subject in subjects)
    return PromptSet(path.name, fingerprint, tuple(subjects))


def read_files(paths: Sequence[Path], size: int) -> Iterator[np.ndarray]:
    """Decode image files of one size, so many at once.

    Args:
        paths: of the files.
        size: of a batch.

    Returns:
        uint8[b h w 3] each.

    Raises:
        BrokenImage: one can't be read.
        UserError: they have several sizes after all, upright.
    """
    with ThreadPoolExecutor(_READERS) as threads:
        for first in range(0, len(paths), size):
            batch = list(threads.map(_decode, paths[first : first + size]))
            if len({pixels.shape for pixels in batch}) > 1:
                raise UserError(f"images near {paths[first]} have several sizes: bring them to one")
            yield np.stack(batch)


def open_npz(path: Path) -> ImageSet:
    """The images of an .npz: `arr_0`, as ADM's evaluator has them. They are read as a stream.

    Args:
        path: of the file; arr_0 is uint8[n h w 3].

    Raises:
        UserError: it is no .npz, or has no images.
    """
    with _opened(path) as (file, info):
        shape, dtype, by_columns = _header(file, path)
        checksum = info.CRC
    good = len(shape) == 4 and shape[3] == 3 and min(shape) > 0 and dtype == np.uint8
    if not good or by_columns:
        raise UserError(
            f"{ARRAY} of {path} is {dtype}{list(shape)}, which are no images: it must be "
            "uint8[n h w 3], from 0 to 255, in C's order"
        )
    count, height, width, _ = shape

    def batches(size: int) -> Iterator[np.ndarray]:
        with _opened(path) as (file, _):
            _header(file, path)
            for first in range(0, count, size):
                rows = min(size, count - first)
                data = _exactly(file, rows * height * width * 3, path)
                yield np.frombuffer(data, np.uint8).reshape(rows, height, width, 3)

    fingerprint = fingerprint_of([str(shape), checksum])
    return ImageSet(str(path), height, width, count, fingerprint, batches)


def _look(path: Path) -> _Found:
    """An image file by its header; BrokenImage: it can't be opened."""
    image = open_image(path)
    with image:
        size = image.size
        # A PNG's own getexif would decode it.
        if Image.Image.getexif(image).get(_ORIENTATION, 1) in _TURNED:
            size = size[1], size[0]
        return _Found(path, size, _kind(image))


def _kind(image: Image.Image) -> str:
    if image.has_transparency_data:
        return "with transparency, put on white"
    if image.mode in _GREY_MODES:
        return "grey, made RGB"
    return "" if image.mode in _COLOUR_MODES or image.mode == "P" else f"{image.mode}, made RGB"


def _one_size(folder: Path, found: Sequence[_Found]) -> tuple[int, int]:
    sizes = collections.Counter(one.size for one in found)
    if len(sizes) > 1:
        first = {one.size: one.path.name for one in reversed(found)}
        shown = [
            f"{count} of {size[0]}×{size[1]} such as {first[size]}"
            for size, count in sizes.most_common()
        ]
        raise UserError(
            f"the images in {folder} have several sizes ({a_few(shown)}): bring them to one first, "
            "for how they are resized changes every metric"
        )
    return found[0].size


def _conversions(found: Sequence[_Found]) -> tuple[str, ...]:
    kinds = collections.Counter(one.kind for one in found if one.kind)
    return tuple(f"{count} of {len(found)} images were {kind}" for kind, count in kinds.items())


def _decode(path: Path) -> np.ndarray:
    return to_rgb(open_image(path), str(path))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], zipfile.ZipInfo]]:
    """The images' array in an .npz, and its entry."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        reason = getattr(error, "strerror", None) or "it is no .npz"
        raise UserError(f"can't read {path}: {reason}; give an .npz with {ARRAY}") from error
    with archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if ARRAY not in names:
            raise UserError(_without_images(path, names))
        info = archive.getinfo(f"{ARRAY}.npy")
        with archive.open(info) as file:
            yield file, info


def _without_images(path: Path, names: Sequence[str]) -> str:
    what = f"it has {a_few(names)}" if names else "it is empty"
    hint = ""
    if {"mu", "sigma"} <= set(names):
        hint = "; statistics of images can be a --reference, but have no images to evaluate"
    return f"{path} has no images, an array {ARRAY} of uint8[n h w 3]: {what}{hint}"


def _header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype, bool]:
    """(shape, dtype, whether in Fortran's order) of an array; its data follow in the file."""
    read: dict[tuple[int, int], Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        shape, by_columns, dtype = read[np.lib.format.read_magic(file)](file)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{ARRAY} of {path} is damaged ({one_line(error)}): write it again by "
            "numpy.savez(file, images)"
        ) from error
    return shape, dtype, by_columns


def _exactly(file: IO[bytes], count: int, path: Path) -> bytes:
    try:
        data = file.read(count)
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{path} is damaged: {one_line(error)}; make it again") from error
    if len(data) != count:
        raise UserError(f"{path} is cut off: make it again")
    return data
