"""Files of prompts: plain text, tables as PartiPrompts and DrawBench have them, JSON lines.

    prompts.txt     a prompt a line
    prompts.tsv     the first line names the columns: one of PROMPT_COLUMNS, and perhaps
    prompts.csv     some of CATEGORY_COLUMNS; the others are ignored
    prompts.jsonl   {"prompt": "a red ring", "category": "colours"}; a list is several categories

The names of columns and keys may be in upper or lower case. Text is UTF-8.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from glide_jax.data.caption_files import cells
from glide_jax.data.lines import read_text, split_lines
from glide_jax.data.source import fingerprint_of
from glide_jax.errors import UserError, unknown_name
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.sampling.request import Subject
from glide_jax.storage import fetched

PROMPT_COLUMNS = ("prompt", "prompts", "caption", "text")
CATEGORY_COLUMNS = ("category", "challenge")
"""PartiPrompts has both. Of the second column, a category's name starts with the column's."""

OWN = {"skills": "skills.tsv"}
"""Name → the file of a prompt set that comes with this package."""

_DELIMITERS = {".tsv": "\t", ".csv": ","}


class _Row(NamedTuple):
    """A prompt.

    Attributes:
        line: of the file, from 1.
        prompt: as it is written there.
        categories: of the prompt.
    """

    line: int
    prompt: str
    categories: tuple[str, ...]


def open_prompts(name: str) -> PromptSet:
    """A prompt set of this package, by its name, or that of a file.

    Args:
        name: in OWN, or the path of a file, on this machine or in a bucket.

    Raises:
        UserError: there is neither, or see `read_prompts`.
    """
    if name in OWN:
        file = resources.files("glide_jax.evaluation.prompt_sets") / OWN[name]
        with resources.as_file(file) as path:
            return read_prompts(path, name)
    path = fetched(name)
    if not path.exists() and not path.suffix:
        raise UserError(f"{unknown_name('prompt set', name, OWN)}; or give a file of prompts")
    return read_prompts(path, path.stem)


def read_prompts(path: Path, name: str) -> PromptSet:
    """The prompts of a file, of the kind that its name's ending says.

    Args:
        path: of the file; `.tsv`, `.csv` or `.jsonl`, all else is plain text.
        name: of the set.

    Raises:
        UserError: it can't be read, has no prompt, a blank one, or no column of prompts.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise UserError(f"can't read {path}: {reason}; give a file of prompts") from error
    suffix = path.suffix.lower()
    if suffix in _DELIMITERS:
        rows = list(_of_table(path, text, _DELIMITERS[suffix]))
    elif suffix == ".jsonl":
        rows = list(_of_json_lines(path, text))
    else:
        rows = [_Row(i, line, ()) for i, line in enumerate(split_lines(text.rstrip()), 1)]
    if not any(row.prompt.strip() for row in rows):
        raise UserError(f"{path} has no prompts: write one a line")
    for row in rows:
        if not row.prompt.strip():
            raise UserError(
                f"{path}, line {row.line}, is blank: delete it, for the prompts after it would be "
                "of other images than their lines say"
            )
    return PromptSet(
        name=name,
        fingerprint=fingerprint_of(part for row in rows for part in (row.prompt, *row.categories)),
        subjects=tuple(Subject(prompt=row.prompt.strip()) for row in rows),
        categories=tuple(row.categories for row in rows) if any(r.categories for r in rows) else (),
    )


def _of_table(path: Path, text: str, delimiter: str) -> Iterator[_Row]:
    rows = cells(str(path), text, delimiter)
    header = [name.strip().lower() for name in next(rows, (1, []))[1]]
    prompt = next((header.index(name) for name in PROMPT_COLUMNS if name in header), None)
    if prompt is None:
        raise UserError(
            f"{path}: the first line must name the columns, one of them "
            f"{' or '.join(PROMPT_COLUMNS)}; a plain list of prompts is a .txt"
        )
    columns = [header.index(name) for name in CATEGORY_COLUMNS if name in header]
    for number, row in rows:
        if len(row) <= max(prompt, *columns, 0):
            raise UserError(
                f"{path}, line {number}: {len(row)} columns where the first line has {len(header)}"
            )
        yield _Row(number, row[prompt], _categories({header[i]: row[i] for i in columns}))


def _of_json_lines(path: Path, text: str) -> Iterator[_Row]:
    for number, line in enumerate(split_lines(text.rstrip()), 1):
        try:
            parsed = json.loads(line or '{"prompt": ""}')
            row = {key.lower(): value for key, value in parsed.items()}
            prompt = next(row[name] for name in PROMPT_COLUMNS if name in row)
            found = {name: row[name] for name in CATEGORY_COLUMNS if row.get(name)}
            if not isinstance(prompt, str) or not all(_are_texts(v) for v in found.values()):
                raise TypeError
        except (ValueError, AttributeError, TypeError, StopIteration, RecursionError) as error:
            raise UserError(
                f'{path}, line {number}: write {{"prompt": "a red ring", "category": "colours"}}'
            ) from error
        yield _Row(number, prompt, _categories(found))


def _are_texts(value: Any) -> bool:
    return all(isinstance(one, str) for one in (value if isinstance(value, list) else [value]))


def _categories(found: Mapping[str, str | Sequence[str]]) -> tuple[str, ...]:
    """Column → value or values, as categories; what is blank is none."""
    names = []
    for column, value in found.items():
        prefix = "" if column == CATEGORY_COLUMNS[0] else f"{column}: "
        names += [prefix + v.strip() for v in ([value] if isinstance(value, str) else value) if v]
    return tuple(dict.fromkeys(names))
