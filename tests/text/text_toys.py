"""A small tokenizer of each kind: the public ones with a handful of merges of their own."""

import json
from pathlib import Path

import tiktoken

from glide_jax.text import train
from glide_jax.text.clip_bpe import ClipBpeTokenizer
from glide_jax.text.gpt2 import Gpt2Tokenizer

SHARED = Path(__file__).parents[3] / "shared"
"""Where the public vocabularies lie, if they do."""

PROMPTS = json.loads((Path(__file__).parents[1] / "golden" / "tokens.json").read_text("utf-8"))
"""Prompts, and the ids that the references give them."""

MERGES = [("r", "e"), ("re", "d</w>"), ("c", "a"), ("ca", "t</w>"), ("'", "s</w>")]

ENCODING = tiktoken.Encoding(
    "toy",
    pat_str=r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+",
    mergeable_ranks={bytes([byte]): byte for byte in range(256)}
    | {b"re": 256, b"red": 257, b" c": 258, b" ca": 259, b" cat": 260},
    special_tokens={"<|endoftext|>": 261},
)


def gpt2():
    return Gpt2Tokenizer(ENCODING)


def clip_bpe():
    return ClipBpeTokenizer(MERGES, vocab_size=600)


def sentencepiece():
    return train("sentencepiece", ["a red circle above a blue square"], 300)


ALL = {"clip_bpe": clip_bpe, "gpt2": gpt2, "sentencepiece": sentencepiece}
"""Kind → a small one of it."""


def never():
    """Captions that nobody may read."""
    raise AssertionError("read")
    yield
