"""A model's images as people hold them: a folder, and where each image's prompt is found."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from glide_jax.data import images
from glide_jax.data.caption_files import CAPTION_FILES, read_captions
from glide_jax.data.lines import read_text, split_lines
from glide_jax.errors import UserError
from glide_jax.evaluation.judging.comparison import JudgedImage
from glide_jax.local_path import url_of
from glide_jax.sampling.output import KEY, read_provenance
from glide_jax.storage import fetched, storage_path

_PREVIEW = "preview.png"
"""What `glide-jax sample --preview-every` leaves among the images."""


OnImage = Callable[[str, int, int], None]
"""Hears of every image that has been read: the model's name, how many images of it, of how many."""


def read_models(
    folders: Sequence[str], prompts_file: Path | None, on_image: OnImage
) -> list[JudgedImage]:
    """The images of several models.

    Args:
        folders: `DIR` or `NAME=DIR` each; without NAME the model has the folder's name.
        prompts_file: see `read_folder`.
        on_image: hears of every image.

    Raises:
        UserError: two models have one name, or `read_folder` raises it.
    """
    named = [_name_and_folder(folder) for folder in folders]
    names = [name for name, _ in named]
    for name, folder in named:
        if names.count(name) > 1:
            raise UserError(
                f"two models are called {name!r}: name them, as in first={folder} second=DIR"
            )
    prompts = None if prompts_file is None else _lines(prompts_file)
    found = (read_folder(name, folder, prompts, on_image) for name, folder in named)
    return [image for of_model in found for image in of_model]


def read_folder(
    model: str, folder: Path, prompts: Sequence[str] | None, on_image: OnImage
) -> list[JudgedImage]:
    """A model's images, each checked, with its prompt.

    The prompt is in the image, where `glide-jax sample` wrote it; else in one of the folder's
    caption files (`captions.tsv`, …, as for training); else the line of `prompts` at the image's
    place among the folder's images, in the order of their names, with numbers read as numbers.

    Args:
        model: its name.
        folder: with the images.
        prompts: one for each image of the folder, or None.
        on_image: hears of every image.

    Returns:
        Images in the order of their seeds and indices, or of their names.

    Raises:
        UserError: there is no such folder, its bucket can't be read, or no image is in it; an image
            can't be read or has no prompt, or another one than `prompts` says.
    """
    folder = fetched(folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: give folders of images, one for each model")
    files = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in images.SUFFIXES and file.name != _PREVIEW
    ]
    files.sort(key=lambda file: _natural(file.name))
    if not files:
        raise UserError(f"{folder} has no images: sample into it, or give another folder")
    if prompts is not None and len(prompts) != len(files):
        raise UserError(
            f"{folder} has {len(files)} images and the prompts file {len(prompts)} lines: write "
            "one line for each image, in the order of their names"
        )
    captions = _captions(folder)
    found = []
    for place, file in enumerate(files):
        images.check(str(file), str(file))
        own, order = _own_prompt(file)
        given = captions.get(file.name) if prompts is None else prompts[place]
        if own is not None and given is not None and own != given:
            raise UserError(
                f"{file} was sampled for {own!r}, and the prompts file or caption file says "
                f"{given!r}: put that right, or leave the file away"
            )
        prompt = given if own is None else own
        if prompt is None:
            raise UserError(
                f"{file} does not hold its prompt: give --prompts-file, or write captions.tsv "
                f"beside it, a line for each image: name, tab, prompt"
            )
        found.append((order, prompt, hashlib.sha256(file.read_bytes()).hexdigest(), file))
        on_image(model, place + 1, len(files))
    found.sort(key=lambda row: row[0])  # stable: by name within one order
    return _numbered(model, [row[1:] for row in found])


def _numbered(model: str, rows: Sequence[tuple[str, str, Path]]) -> list[JudgedImage]:
    """Of (prompt, SHA-256, file) each."""
    counts: dict[str, int] = {}
    numbered = []
    for prompt, digest, file in rows:
        number = counts.get(prompt, 0)
        counts[prompt] = number + 1
        numbered.append(JudgedImage(model, prompt, number, digest, file))
    return numbered


def _own_prompt(file: Path) -> tuple[str | None, tuple[int, int]]:
    """(what the image says that it shows, (seed, index)); (None, (0, 0)): it says nothing."""
    with images.open_image(file) as image:
        if KEY not in image.info:
            return None, (0, 0)
    made = read_provenance(file)
    prompt = made.prompt if made.label is None else f"class {made.label}"
    return _tidy(prompt), (made.seed, made.index)


def _captions(folder: Path) -> dict[str, str]:
    """File name → prompt, of the folder's caption files."""
    found: dict[str, str] = {}
    for name in CAPTION_FILES:
        path = folder / name
        if path.exists():
            for file, caption in read_captions(str(path)):
                found.setdefault(os.path.normpath(file), _tidy(caption))
    return found


def _lines(path: Path) -> list[str]:
    try:
        lines = split_lines(read_text(fetched(path)))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise UserError(f"can't read {path}: {reason}") from error
    prompts = [_tidy(line) for line in lines if line.strip()]
    if not prompts:
        raise UserError(f"{path} has no prompts: write one a line")
    return prompts


def _name_and_folder(argument: str) -> tuple[str, Path]:
    name, equals, folder = argument.partition("=")
    # A folder's own name may have an equals sign.
    if not equals or url_of(name) or storage_path(argument).exists():
        name, folder = os.path.basename(argument.rstrip("/")), argument
        if not url_of(argument):
            name = os.path.basename(os.path.abspath(argument))
    if not name or not folder:
        raise UserError(f"{argument!r} is neither a folder nor NAME=DIR")
    return _tidy(name), storage_path(folder)


def _tidy(text: str) -> str:
    """On one line, as a page shows it; what is no text at all, as JSON writes it."""
    text = " ".join(text.split())
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(text)
    return text


def _natural(name: str) -> list[tuple[int, int, str]]:
    """img2.png before img10.png."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts]
