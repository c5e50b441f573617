"""One vocabulary: words that the glossary of CONTRIBUTING.md has replaced don't come back."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("glide_jax", "docs", "configs", "launch", "notebooks", "benchmarks")
FILES = ("README.md",)
SUFFIXES = {".py", ".md", ".sh", ".yaml", ".ipynb"}

RETIRED = {
    r"pictures?\b|[a-z_]picture|picture[A-Z_]": "image",
    r"\b(re)?draw(s|n|er|ers|ing|ings)?\b|\bdrew\b|_draw|draw_": "sample, render or plot",
    r"\btold\b|\btells?\b|_told|told_": "conditioned on, given",
    r"\blessons?\b": "text-encoder pretraining",
    r"\bWay\b|\bTowards\b|\bBegun\b|\bAsked\b|\bDrawn\b|\bMade\b": "see the glossary",
    r"\bMeasured\b|\bDraws\b|\bExam\b|\bexams?\b": "aux, ExampleRng, evaluation set",
    r"stand[_-]ins?\b": "replacement",
    r"\bflaws?\b": "integrity error",
    r"\bincoming\b": "checkpoint source",
    r"\bshipped\b": "released config",
    r"spread(s|ing)? (out )?kernels?|kernels? spread": "Winograd kernel",
    r"\blistening\b|of_sampling": "caption sensitivity, sampling",
    r"\bwatching\b": "monitoring",
    r"held still|holds? still": "frozen",
    r"other pictures|another seed": "random seed",
}
ALLOWED = re.compile(
    r"draw = ImageDraw|ImageDraw|DrawBench|draw\.(multiline_text|text|line|ellipse)\("
)
"""Other people's names."""


def files():
    for folder in FOLDERS:
        yield from (f for f in sorted((ROOT / folder).rglob("*")) if f.suffix in SUFFIXES)
    yield from (ROOT / name for name in FILES)


@pytest.mark.parametrize(("pattern", "instead"), RETIRED.items(), ids=str)
def test_no_retired_word(pattern, instead):
    word = re.compile(pattern)
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for file in files()
        for number, line in enumerate(file.read_text("utf-8").split("\n"), 1)
        if word.search(ALLOWED.sub("", line))
    ]
    assert not found, f"write {instead}:\n" + "\n".join(found)
