"""Images that somebody has: a folder of files, or an .npz as ADM's evaluator takes it."""

import collections
import dataclasses
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from glide_jax.data.images import SUFFIXES, open_image, square, to_rgb
from glide_jax.data.source import fingerprint_of
from glide_jax.errors import UserError, a_few
from glide_jax.evaluation.images.image_set import ImageSet
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.evaluation.references import IMAGES, images_of
from glide_jax.sampling.output import read_provenance
from glide_jax.sampling.request import Subject
from glide_jax.storage import fetched

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


def open_images(path: Path, size: int | None = None) -> ImageSet:
    """The images of a folder, or of an .npz.

    Args:
        path: of either, on this machine or in a bucket.
        size: pixels a side, see `open_folder`.

    Raises:
        UserError: there is nothing there, it can't be read, an .npz is to be resized, or see
            `open_folder` and `open_npz`.
    """
    here = fetched(path)
    if here.is_dir():
        return dataclasses.replace(open_folder(here, size), name=str(path))
    if here.is_file() and size:
        raise UserError(f"images of {path} can't be resized, only those of a folder")
    if here.is_file():
        return dataclasses.replace(open_npz(here), name=str(path))
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


def open_folder(folder: Path, size: int | None = None) -> ImageSet:
    """The images of a folder and its sub-folders, in the order of their names.

    Grey images become RGB, and what is transparent is put on white; the notes count them.

    Args:
        folder: of image files.
        size: pixels a side, to which the middle square of each is resized as in training; None:
            they are of one size, and stay as they are.

    Raises:
        UserError: it has no images, images of several sizes, or one that can't be read.
    """
    paths = image_files(folder)
    if not paths:
        raise UserError(f"there is no image in {folder}: give a folder of PNG or JPEG files")
    with ThreadPoolExecutor(_READERS) as threads:
        found = list(threads.map(_look, paths))
    width, height = (size, size) if size else _one_size(folder, found)
    parts = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths]
    fingerprint = fingerprint_of([str(size), *(part for pair in parts for part in pair)])
    return ImageSet(
        name=str(folder),
        height=height,
        width=width,
        count=len(paths),
        fingerprint=fingerprint,
        batches=lambda batch, rows=None: read_files(_some(paths, rows), batch, size),
        notes=_conversions(found),
    )


def _some(paths: Sequence[Path], rows: range | None) -> Sequence[Path]:
    return paths if rows is None else paths[rows.start : rows.stop]


def prompts_in(path: Path) -> PromptSet | None:
    """The prompts that a folder's own images say they were made from, as `glide-jax sample` notes.

    Returns:
        A prompt for each image, in the order of their names; None: one of them says nothing.
    """
    subjects = []
    here = fetched(path)
    for file in image_files(here) if here.is_dir() else ():
        try:
            made = read_provenance(file)
        except UserError:
            return None
        subjects.append(Subject(made.prompt, made.negative_prompt, made.label))
    if not subjects:
        return None
    fingerprint = fingerprint_of(subject.prompt for subject in subjects)
    return PromptSet(path.name, fingerprint, tuple(subjects))


def read_files(
    paths: Sequence[Path], batch_size: int, size: int | None = None
) -> Iterator[np.ndarray]:
    """Decode image files, so many at once.

    Args:
        paths: of the files.
        batch_size: of a batch.
        size: pixels a side, see `open_folder`.

    Returns:
        uint8[b h w 3] each.

    Raises:
        BrokenImage: one can't be read.
        UserError: they have several sizes after all, upright.
    """
    with ThreadPoolExecutor(_READERS) as threads:
        for first in range(0, len(paths), batch_size):
            batch = list(threads.map(_decode, paths[first : first + batch_size]))
            batch = [square(pixels, size) for pixels in batch] if size else batch
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
    images = images_of(path)
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if images is None:
        raise UserError(_without_images(path, list(entries)))
    count, height, width, _ = images.shape
    fingerprint = fingerprint_of([str(images.shape), entries[IMAGES].CRC])
    return ImageSet(str(path), height, width, count, fingerprint, images.batches)


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


def _without_images(path: Path, names: Sequence[str]) -> str:
    what = f"it has {a_few(names)}" if names else "it is empty"
    hint = ""
    if {"mu", "sigma"} <= set(names):
        hint = "; statistics of images can be a --reference, but have no images to evaluate"
    return f"{path} has no images, an array {IMAGES} of uint8[n h w 3]: {what}{hint}"
