"""Files of prompts, as people have them."""

import json

import pytest

from glide_jax.errors import UserError
from glide_jax.evaluation.prompt_sets.reading import OWN, open_prompts

PARTI = """Prompt\tCategory\tChallenge\tNote
a red ring\tAbstract\tBasic\t
"hello" on a wall\tArts\tWriting & Symbols\twith a "quote
a shiba inu\tAnimals\tBasic\tanything
"""
DRAWBENCH = 'Prompts,Category\n"A red ring, and a star",Colors\nTwo dogs,Counting\n'


def read(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_prompts(str(path))


def test_parti_prompts(tmp_path):
    found = read(tmp_path, "PartiPrompts.tsv", PARTI)
    assert found.captions == ["a red ring", '"hello" on a wall', "a shiba inu"]
    assert found.rows_of() == {
        "Abstract": [0],
        "challenge: Basic": [0, 2],
        "Arts": [1],
        "challenge: Writing & Symbols": [1],
        "Animals": [2],
    }


@pytest.mark.parametrize(
    ("name", "text", "captions", "categories"),
    [
        ("p.txt", "a red ring\r\n two dogs \n\n", ["a red ring", "two dogs"], ()),
        ("p.txt", b"\xef\xbb\xbfa ring", ["a ring"], ()),
        ("p", "a, b\nc", ["a, b", "c"], ()),
        (
            "p.csv",
            DRAWBENCH,
            ["A red ring, and a star", "Two dogs"],
            (("Colors",), ("Counting",)),
        ),
        (
            "p.jsonl",
            '{"Prompt": "a", "category": ["x", "y"]}\n{"caption": "b"}\n',
            ["a", "b"],
            (("x", "y"), ()),
        ),
    ],
)
def test_each_kind_of_file(tmp_path, name, text, captions, categories):
    found = read(tmp_path, name, text)
    assert found.captions == captions
    assert found.categories == categories


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "a\n\nb", "p.txt, line 2, is blank"),
        ("p.txt", "\n \n", "has no prompts"),
        ("p.txt", b"caf\xe9", "not text in UTF-8"),
        ("p.csv", "a red ring\ntwo dogs\n", "must name the columns"),
        ("p.csv", "", "must name the columns"),
        ("p.tsv", "Prompt\tCategory\na\tx\nb\n", "line 3: 1 columns where the first line has 2"),
        ("p.tsv", "Prompt\tCategory\n\tx\n", "has no prompts"),
        ("p.tsv", "Prompt\tCategory\na\tx\n \tx\n", "line 3, is blank"),
        ("p.csv", 'Prompt\n"open', "close every quote"),
        ("p.jsonl", '{"prompt": "a"}\n\n{"prompt": "b"}', "line 2, is blank"),
        ("p.jsonl", '{"text": 3}', "line 1: write"),
        ("p.jsonl", '["a"]', "line 1: write"),
        ("p.jsonl", '{"prompt": "a", "category": {}}x', "line 1: write"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, name, text)
    assert len(str(caught.value).splitlines()) == 1


def test_a_name_that_is_neither_a_set_nor_a_file():
    with pytest.raises(UserError, match="did you mean 'skills'"):
        open_prompts("skill")
    with pytest.raises(UserError, match=r"can't read none\.txt"):
        open_prompts("none.txt")


def test_the_own_set():
    found = open_prompts("skills")
    assert len(found) == len(set(found.captions)) >= 100
    asked = {"colours", "counting", "positions", "conflicting", "rare words", "misspellings"}
    assert asked | {"long", "text"} <= found.rows_of().keys()
    assert all(len(rows) >= 8 for rows in found.rows_of().values())
    assert list(OWN) == ["skills"]


def test_prompts_come_round_again_and_a_row_stays_what_it_is(tmp_path):
    found = read(tmp_path, "p.jsonl", json.dumps({"prompt": "a", "category": "x"}))
    assert found.first(3).captions == ["a", "a", "a"]
    assert found.first(3).categories == (("x",),) * 3
    assert found.first(3).fingerprint == found.fingerprint
