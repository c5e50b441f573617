"""Your own images: a folder, with captions in one of two layouts.

Either a text file of the same name beside each image, with one caption a line:

    cats/1.jpg  cats/1.txt  dog.png  dog.txt

or one file at the top of the folder with the captions of all images: `captions.csv` (or `.tsv`,
`.txt`), two columns separated by tabs if its first line has one, else by commas; or
`captions.jsonl`; or Hugging Face's `metadata.jsonl` or `metadata.csv`:

    file_name,caption                                      # a header is not needed
    cats/1.jpg,a cat asleep                                # several rows: several captions
    *,a photo of Rex                                       # every image that isn't named
    {"file_name": "dog.png", "caption": ["a dog", "my dog Rex"]}    # or one string

With "folder?label=folder" the top folder's sub-folders are the classes, sorted by name; images
without a caption get the name of their class, and images outside the sub-folders are skipped.

Text is UTF-8. Sub-folders are searched, links to folders as well; names are relative to the folder.
Hidden files are ignored. Files that can't be used, and images without a caption or with an empty
one, are skipped; one line of the log counts and names them.
"""

import collections
import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator

from glide_jax.data import images
from glide_jax.data.caption_files import CAPTION_FILES, EVERY_OTHER, read_captions
from glide_jax.data.fields import Fields, split_fields, texts
from glide_jax.data.filenames import by_portable_name, portable, printable
from glide_jax.data.lines import read_text, split_lines
from glide_jax.data.source import Example, checked_index, fingerprint_of
from glide_jax.data.splitting import (
    MIN_TO_SPLIT,
    check_split,
    describe_split,
    held_out,
    split_indices,
)
from glide_jax.errors import UserError, a_few, one_line

_BY_FOLDER = "folder"
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class FolderSource:
    """A Source over image files.

    Attributes:
        root: the folder.
        items: (file name relative to root, captions) of each image.
        classes: names of the sub-folders if they are classes, else None.
    """

    root: str
    items: tuple[tuple[str, tuple[str, ...]], ...]
    classes: tuple[str, ...] | None

    @property
    def fingerprint(self) -> str:
        """See Source: of the names, sizes and captions."""
        return fingerprint_of(
            part
            for name, captions in self.items
            for part in (portable(name), self._size(name), len(captions), *captions)
        )

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Example:
        name, captions = self._item(i)
        path = os.path.join(self.root, name)
        shown = printable(path)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise images.BrokenImage(
                f"cannot read the image {shown}: {error.strerror or one_line(error)}"
            ) from error
        label = None if self.classes is None else self.classes.index(_class(name))
        return Example(images.decode(data, shown), captions, facts={}, label=label)

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of image i without decoding it."""
        return self._item(i)[1]

    def _size(self, name: str) -> int:
        """The size of an image file in bytes; -1: it is gone."""
        try:
            return os.path.getsize(os.path.join(self.root, name))
        except OSError:
            return -1

    def _item(self, i: int) -> tuple[str, tuple[str, ...]]:
        return self.items[checked_index(i, len(self))]


class _Skipped:
    """The files left out, by reason, for one line of the log."""

    def __init__(self):
        self._names: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        self._names.setdefault(reason, []).append(printable(name))

    def __str__(self) -> str:
        return ", ".join(f"{len(n)} {reason} ({a_few(n)})" for reason, n in self._names.items())


def prepare(variant: str, path: str) -> None:
    """Check that the folder exists; there is nothing to make.

    Raises:
        UserError: no such folder, or an unknown variant.
    """
    name, fields = split_fields(variant)
    if name or fields not in (Fields(), Fields(label=_BY_FOLDER)):
        raise UserError(
            f"the source 'folder' has no variant {variant!r}: write just 'folder', or "
            f"'folder?label={_BY_FOLDER}'"
        )
    if not path:
        raise UserError("the source 'folder' needs a folder of images: set data.path")
    if not os.path.isdir(path):
        raise UserError(f"no such folder of images: {path!r}; set data.path to one")


def open_split(variant: str, path: str, split: str) -> FolderSource:
    """Open the usable images of a folder's "train" or "test" split.

    Every image file is checked, but not decoded if its format allows that. An image's name alone
    decides which split it is in.

    Raises:
        UserError: no such folder or split, no image with a caption, two captions files, or a
            captions file that cannot be read.
    """
    prepare(variant, path)
    check_split(split, "a folder")
    skipped = _Skipped()
    by_folder = bool(split_fields(variant)[1].label)
    items = tuple(_usable(path, _captioned(path, skipped, by_folder), skipped))
    summary = f"{path}: {len(items)} images with captions"
    if str(skipped):
        summary += f"; skipped {skipped}"
    if not items:
        raise UserError(
            f"{summary}; put a .txt of captions beside each image, or a captions.csv of "
            "file name and caption in the folder"
        )
    tests = held_out([name for name, _ in items])
    is_split = len(tests) >= MIN_TO_SPLIT
    summary += f"; {describe_split(tests)}"
    _log.log(logging.INFO if is_split and not str(skipped) else logging.WARNING, "%s", summary)
    classes = tuple(sorted({_class(name) for name, _ in items})) if by_folder else None
    return FolderSource(
        path, tuple(items[i] for i in split_indices(tests, split, summary)), classes
    )


def _usable(
    root: str, captioned: Iterable[tuple[str, tuple[str, ...]]], skipped: _Skipped
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, captions in captioned:
        path = os.path.join(root, name)
        if os.path.exists(path) and not os.path.isfile(path):
            skipped.add("images that are not files", name)  # opening a pipe would wait forever
            continue
        try:
            images.check(path, name)
        except (images.BrokenImage, OSError):
            skipped.add("broken images", name)
        else:
            yield name, captions


def _captioned(root: str, skipped: _Skipped, by_folder: bool) -> list[tuple[str, tuple[str, ...]]]:
    """Return (name, captions) of every image with captions, broken or not, sorted by name."""
    names = sorted(_walk(root, skipped))
    image_names = [n for n in names if os.path.splitext(n)[1].lower() in images.SUFFIXES]
    files = [n for n in names if n in CAPTION_FILES]
    if len(files) > 1:
        raise UserError(f"{root} has {' and '.join(files)}: keep one of them")
    others = set(names) - set(image_names) - set(files)
    if files:
        captions = _from_file(root, files[0], image_names, skipped)
    else:
        captions, read = _from_neighbours(root, image_names, others, skipped)
        others -= read
    for name in sorted(others):
        skipped.add("files that are not images", name)
    for name in image_names if by_folder else ():
        if "/" in name and not captions.get(name):
            captions[name] = _clean([_class(name).replace("_", " ")])
    for name in image_names:
        if by_folder and "/" not in name:
            captions.pop(name, None)
            skipped.add("images in no sub-folder", name)
        elif not captions.get(name):
            skipped.add("images without a caption", name)
    return [(name, captions[name]) for name in image_names if captions.get(name)]


def _class(name: str) -> str:
    return name.partition("/")[0]


def _walk(root: str, skipped: _Skipped) -> Iterator[str]:
    """Yield the names, relative to root, with forward slashes, of all files but hidden ones.

    Links to folders are followed after all else, each folder being searched once.
    """
    searched: set[str] = set()
    links = collections.deque([root])
    while links:
        link = links.popleft()
        if os.path.realpath(link) in searched:
            continue
        for folder, folders, files in os.walk(
            link, onerror=lambda e: skipped.add("folders that can't be read", str(e.filename))
        ):
            paths = {f: os.path.join(folder, f) for f in sorted(folders) if not f.startswith(".")}
            links += [path for path in paths.values() if os.path.islink(path)]
            searched.add(os.path.realpath(folder))
            folders[:] = [f for f, path in paths.items() if os.path.realpath(path) not in searched]
            for file in files:
                if not file.startswith("."):
                    yield os.path.relpath(os.path.join(folder, file), root).replace(os.sep, "/")


def _from_neighbours(
    root: str, image_names: list[str], others: set[str], skipped: _Skipped
) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """Return ({image: captions}, names of the text files read) of the texts beside the images."""
    captions, read = {}, set()
    portable_names = by_portable_name(others)
    for name in image_names:
        text = os.path.splitext(name)[0] + ".txt"
        if text not in others:
            text = portable_names.get(portable(text), text)
        if text not in others:
            continue
        read.add(text)
        path = os.path.join(root, text)
        try:
            if os.path.isfile(path):  # a pipe would be waited for
                captions[name] = _clean(split_lines(read_text(path)))
            else:
                skipped.add("caption files that are not files", text)
        except (UnicodeDecodeError, OSError):
            skipped.add("caption files that are not UTF-8 text", text)
    return captions, read


def _from_file(
    root: str, name: str, image_names: list[str], skipped: _Skipped
) -> dict[str, tuple[str, ...]]:
    """Return {image: captions} of a caption file."""
    on_disk, portable_names = set(image_names), by_portable_name(image_names)
    captions: dict[str, list[str]] = {}
    for written, caption in read_captions(os.path.join(root, name)):
        image = written.strip().removeprefix("./")
        if image not in on_disk:
            image = portable_names.get(portable(image), image)
        captions.setdefault(image, []).append(caption)
    of_others = captions.pop(EVERY_OTHER, [])
    captions |= {image: of_others for image in image_names if image not in captions and of_others}
    for missing in sorted(captions.keys() - on_disk):
        skipped.add(f"names in {name} without an image", missing)
        del captions[missing]
    return {image: _clean(several) for image, several in captions.items()}


def _clean(captions: Iterable[str]) -> tuple[str, ...]:
    """Return the captions without empty ones and repetitions."""
    return tuple(dict.fromkeys(texts(list(captions))))
