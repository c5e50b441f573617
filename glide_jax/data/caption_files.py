"""Files with the captions of a whole folder: tables and JSON lines.

A table has the columns file name and caption, separated by tabs if its first line has one, else by
commas; a header is optional. `metadata.csv` and `metadata.jsonl` are as Hugging Face's imagefolder
has them: with the column or key "file_name", and a caption under one of the usual names.
"""

import csv
import io
import json
import os
from collections.abc import Iterator
from typing import Any

from glide_jax.data import images
from glide_jax.data.fields import USUAL_CAPTION_FIELDS
from glide_jax.data.lines import read_text, split_lines
from glide_jax.errors import UserError, one_line

CAPTION_FILES = (
    "captions.csv",
    "captions.tsv",
    "captions.txt",
    "captions.jsonl",
    "metadata.csv",
    "metadata.jsonl",
)
"""The names of caption files."""

EVERY_OTHER = "*"
"""In place of a file's name: every image that the file doesn't name."""

_FILE_NAME = "file_name"


def read_captions(path: str) -> Iterator[tuple[str, str]]:
    """Yield (file name, caption) of every caption in a caption file, in the file's order.

    Args:
        path: of the file; its name is one of CAPTION_FILES.

    Raises:
        UserError: it can't be read, or a row is malformed; the message names the line.
    """
    try:
        if not os.path.isfile(path):
            raise OSError("not a file")  # a pipe would be waited for
        text = read_text(path)
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"cannot read {path}: {error}; it must be UTF-8 text") from error
    name = os.path.basename(path)
    if name.endswith(".jsonl"):
        return _json_rows(path, text)
    return _metadata_rows(path, text) if name.startswith("metadata") else _table_rows(path, text)


def _table_rows(path: str, text: str) -> Iterator[tuple[str, str]]:
    delimiter = _delimiter(text)
    for index, (number, row) in enumerate(cells(path, text, delimiter)):
        named = row[0].strip() != EVERY_OTHER
        if index == 0 and named and os.path.splitext(row[0])[1].lower() not in images.SUFFIXES:
            continue  # the header
        if len(row) < 2:
            raise UserError(f"{path}, line {number}: {row[0]!r} has no caption; write name,caption")
        # An unquoted comma belongs to the caption.
        yield row[0], delimiter.join(row[1:])


def _metadata_rows(path: str, text: str) -> Iterator[tuple[str, str]]:
    rows = cells(path, text, _delimiter(text))
    _, header = next(rows, (1, []))
    caption = next((name for name in USUAL_CAPTION_FIELDS if name in header), None)
    if _FILE_NAME not in header or caption is None:
        raise UserError(
            f"{path}: the first line must name the columns: {_FILE_NAME}, and one of "
            f"{', '.join(USUAL_CAPTION_FIELDS)}"
        )
    for number, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{path}, line {number}: {len(row)} columns where the first line has {len(header)}"
            )
        yield row[header.index(_FILE_NAME)], row[header.index(caption)]


def _delimiter(text: str) -> str:
    first = next((line for line in split_lines(text) if line.strip()), "")
    return "\t" if "\t" in first else ","


def cells(path: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its first line, cells) of every row of a table that is not blank.

    Args:
        path: of the file, for errors.
        text: all of it.
        delimiter: between cells.

    Raises:
        UserError: a quote is not closed; the message names the line.
    """
    # Tab-separated text has no quoting.
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, quoting=quoting, strict=True)
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(
                f"{path}, line {number}: {one_line(error)}; close every quote, and write a quote "
                'inside a quoted caption twice: ""'
            ) from error
        if any(cell.strip() for cell in row):
            yield number, row


def _json_rows(path: str, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(split_lines(text), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, captions = _text(row[_FILE_NAME]), _caption(row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                f'{path}, line {number}: write {{"file_name": "a.png", "caption": "…"}}, the '
                "caption a string or a list of them"
            ) from error
        yield from ((name, caption) for caption in captions)


def _caption(row: dict[str, Any]) -> list[str]:
    """Return the captions of a row, [""] if it is null; TypeError: it is no text."""
    key = next((name for name in USUAL_CAPTION_FIELDS if name in row), "caption")
    value = row[key]
    if value is None:
        return [""]
    return [_text(caption) for caption in (value if isinstance(value, list) else [value])] or [""]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
