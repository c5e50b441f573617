"""A person's own pictures: a folder, with captions in one of two layouts.

Beside each picture a text file of the same name, every line of it a caption:

    cats/1.jpg  cats/1.txt  dog.png  dog.txt

or one file in the folder's top that names every picture, `captions.csv` (also `.tsv`, `.txt`),
of two columns separated by a tab if its first line has one, else by a comma; or `captions.jsonl`:

    file_name,caption                                      # a header is not needed
    cats/1.jpg,a cat asleep                                # several rows: several captions
    {"file_name": "dog.png", "caption": ["a dog", "my dog Rex"]}    # or one string

"folder?label=folder": the sub-folders of the top are classes, numbered in the order of their names;
a picture without a caption has its class's name for one. Pictures outside of them are skipped.

All text is UTF-8. Sub-folders are searched; names are relative to the folder. Hidden files are
not looked at. What cannot be used is skipped, counted and named in one line of the log.
"""

import csv
import dataclasses
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator

from glide_jax.data import images
from glide_jax.data.fields import Fields, split_fields
from glide_jax.data.source import Example, checked
from glide_jax.data.splitting import MIN_TO_SPLIT, check_split, kept_back, places
from glide_jax.errors import UserError

CAPTION_FILES = ("captions.csv", "captions.tsv", "captions.txt", "captions.jsonl")

_BY_FOLDER = "folder"
_NAMES_SHOWN = 3
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class FolderSource:
    """A Source over picture files.

    Attributes:
        root: the folder.
        items: (file name relative to root, captions) of each picture.
        classes: names of the sub-folders that are classes; None: they are not.
    """

    root: str
    items: tuple[tuple[str, tuple[str, ...]], ...]
    classes: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Example:
        name, captions = self._item(i)
        path = os.path.join(self.root, name)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise images.BrokenImage(f"cannot read the picture {path}: {error}") from error
        label = None if self.classes is None else self.classes.index(_class(name))
        return Example(images.decode(data, path), captions, facts={}, label=label)

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of picture i without decoding it."""
        return self._item(i)[1]

    def _item(self, i: int) -> tuple[str, tuple[str, ...]]:
        return self.items[checked(i, len(self))]


class _Skipped:
    """What was left out, by reason, for one line of the log."""

    def __init__(self):
        self._names: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        self._names.setdefault(reason, []).append(name)

    def __str__(self) -> str:
        return ", ".join(f"{len(n)} {reason} ({_few(n)})" for reason, n in self._names.items())


def prepare(variant: str, path: str) -> None:
    """Check that the folder is there; there is nothing to make.

    Raises:
        UserError: no such folder, or a variant was asked for.
    """
    name, fields = split_fields(variant)
    if name or fields not in (Fields(), Fields(label=_BY_FOLDER)):
        raise UserError(
            f"the source 'folder' has no variant {variant!r}: write just 'folder', or "
            f"'folder?label={_BY_FOLDER}'"
        )
    if not path:
        raise UserError("the source 'folder' needs a folder of pictures: set data.path")
    if not os.path.isdir(path):
        raise UserError(f"no such folder of pictures: {path!r}; set data.path to one")


def open_split(variant: str, path: str, split: str) -> FolderSource:
    """Open the usable pictures of a folder's "train" or "test" split.

    Every file is looked at, not decoded. Which split a picture is in depends on its name alone.

    Raises:
        UserError: no such folder or split, no picture with a caption, two captions files, or a
            captions file that cannot be read.
    """
    prepare(variant, path)
    check_split(split, "a folder")
    skipped = _Skipped()
    by_folder = bool(split_fields(variant)[1].label)
    items = tuple(_usable(path, _captioned(path, skipped, by_folder), skipped))
    summary = f"{path}: {len(items)} pictures with captions"
    if str(skipped):
        summary += f"; skipped {skipped}"
    if not items:
        raise UserError(
            f"{summary}; put a .txt of captions beside each picture, or a captions.csv of "
            "file name and caption in the folder"
        )
    tests = kept_back([name for name, _ in items])
    is_split = any(tests)
    if not is_split:
        summary += f"; fewer than {MIN_TO_SPLIT} are not split: all are in train"
    _log.log(logging.INFO if is_split and not str(skipped) else logging.WARNING, "%s", summary)
    classes = tuple(sorted({_class(name) for name, _ in items})) if by_folder else None
    return FolderSource(path, tuple(items[i] for i in places(tests, split, summary)), classes)


def _usable(
    root: str, captioned: Iterable[tuple[str, tuple[str, ...]]], skipped: _Skipped
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, captions in captioned:
        try:
            images.check(os.path.join(root, name), name)
        except (images.BrokenImage, OSError):
            skipped.add("broken pictures", name)
        else:
            yield name, captions


def _captioned(root: str, skipped: _Skipped, by_folder: bool) -> list[tuple[str, tuple[str, ...]]]:
    """List every picture that has captions, broken or not, in the order of their names."""
    names = sorted(_walk(root))
    pictures = [n for n in names if os.path.splitext(n)[1].lower() in images.SUFFIXES]
    files = [n for n in names if n in CAPTION_FILES]
    if len(files) > 1:
        raise UserError(f"{root} has {' and '.join(files)}: keep one of them")
    others = set(names) - set(pictures) - set(files)
    if files:
        captions = _from_file(root, files[0])
        for name in sorted(captions.keys() - set(pictures)):
            skipped.add(f"names in {files[0]} without a picture", name)
    else:
        captions = _from_neighbours(root, pictures, others, skipped)
        others -= {_neighbour(picture) for picture in pictures}
    for name in sorted(others):
        skipped.add("files that are not pictures", name)
    for name in pictures if by_folder else ():
        if "/" in name and not captions.get(name):
            captions[name] = _clean([_class(name).replace("_", " ")])
    for name in pictures:
        if by_folder and "/" not in name:
            captions.pop(name, None)
            skipped.add("pictures in no sub-folder", name)
        elif not captions.get(name):
            skipped.add("pictures without a caption", name)
    return [(name, captions[name]) for name in pictures if captions.get(name)]


def _class(name: str) -> str:
    return name.partition("/")[0]


def _walk(root: str) -> Iterator[str]:
    """Yield the names of all files that are not hidden, relative to root, with forward slashes."""
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".")]
        for file in files:
            if not file.startswith("."):
                yield os.path.relpath(os.path.join(folder, file), root).replace(os.sep, "/")


def _neighbour(picture: str) -> str:
    return os.path.splitext(picture)[0] + ".txt"


def _from_neighbours(
    root: str, pictures: list[str], others: set[str], skipped: _Skipped
) -> dict[str, tuple[str, ...]]:
    captions = {}
    for picture in pictures:
        text = _neighbour(picture)
        if text not in others:
            continue
        try:
            captions[picture] = _clean(_read(os.path.join(root, text)).splitlines())
        except (UnicodeDecodeError, OSError):
            skipped.add("caption files that are not UTF-8 text", text)
    return captions


def _from_file(root: str, name: str) -> dict[str, tuple[str, ...]]:
    path = os.path.join(root, name)
    try:
        text = _read(path)
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"cannot read {path}: {error}; it must be UTF-8 text") from error
    captions: dict[str, list[str]] = {}
    rows = _json_rows(path, text) if name.endswith(".jsonl") else _table_rows(path, text)
    for picture, caption in rows:
        captions.setdefault(picture.strip().removeprefix("./"), []).append(caption)
    return {picture: _clean(lines) for picture, lines in captions.items()}


def _table_rows(path: str, text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()
    delimiter = "\t" if lines and "\t" in lines[0] else ","
    # Tab-separated text has no quoting: a " in it is a ".
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    for number, row in enumerate(csv.reader(lines, delimiter=delimiter, quoting=quoting), start=1):
        is_header = number == 1 and os.path.splitext(row[0])[1].lower() not in images.SUFFIXES
        if not row or is_header:
            continue
        if len(row) < 2:
            raise UserError(f"{path}, row {number}: {row[0]!r} has no caption; write name,caption")
        # An unquoted comma belongs to the caption.
        yield row[0], delimiter.join(row[1:])


def _json_rows(path: str, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, captions = row["file_name"], row["caption"]
            captions = [captions] if isinstance(captions, str) else captions
            yield from [(name.strip(), caption.strip()) for caption in captions]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f'{path}, line {number}: write {{"file_name": "a.png", "caption": "…"}}, the '
                "caption a string or a list of them"
            ) from error


def _read(path: str) -> str:
    with open(path, encoding="utf-8-sig") as file:
        return file.read()


def _clean(lines: Iterable[str]) -> tuple[str, ...]:
    """Strip captions, drop the empty ones and repetitions."""
    return tuple(Counter(" ".join(line.split()) for line in lines if line.strip()))


def _few(names: list[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
