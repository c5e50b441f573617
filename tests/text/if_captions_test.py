"""Captions are cleaned as the public reference cleans them."""

import json
import sys

import pytest
from golden.load import HERE
from refusals import refused

from glide_jax.text.if_captions import clean_caption

GOLDEN = json.loads((HERE / "if_captions.json").read_text("utf-8"))


@pytest.mark.parametrize("pair", GOLDEN, ids=lambda pair: pair["caption"] or "empty")
def test_cleaned_as_the_reference_does(pair):
    assert clean_caption(pair["caption"]) == pair["cleaned"]


@pytest.mark.parametrize(
    ("caption", "cleaned"),
    [
        ("a<script>b</script>c<style>d</style>", "ac"),
        ("x <br> y <img src='a'/>z", "x y z"),
        ("</b>a<i>b</b>c</i>", "abc"),
        ("caf&eacute; &#8212; &#x2014; &#150;", "café -"),
        ("a &unknown; b &#3; c", "a unknown b c"),
        ("a dog<!-- not a cat -->", "a dog"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a&#129;&#0;b", "a\x81\N{REPLACEMENT CHARACTER}b"),
        ("&#1114112;", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_markup(caption, cleaned):
    """As beautifulsoup4 4.15 reads it, in the reference."""
    assert clean_caption(caption) == cleaned


@pytest.mark.parametrize(
    "caption", ["a photo of a corgi", "two red cubes on a table, oil painting", "don't look up!"]
)
def test_a_plain_prompt_stays(caption):
    assert clean_caption(caption) == caption
    assert clean_caption(f"  {caption.upper()}\n") == caption


def test_without_ftfy_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ftfy", None)
    refused(lambda: clean_caption("a dog"), "glide_jax[glide]")
