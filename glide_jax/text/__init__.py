"""Tokenizers by kind, and captions as arrays."""

import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from glide_jax.errors import UserError
from glide_jax.text.tokenizer import TokenBatch, Tokenizer, tokenize

__all__ = ["KINDS", "TokenBatch", "Tokenizer", "from_dict", "tokenize", "train"]

KINDS = {
    "clip_bpe": "glide_jax.text.clip_bpe",
    "gpt2": "glide_jax.text.gpt2",
    "sentencepiece": "glide_jax.text.sentencepiece",
}
"""Kind → the module that offers `train` and `from_dict`."""

_EXTRAS = ("ftfy", "regex", "tiktoken", "tokenizers")
"""What the extra `glide` installs."""


def train(kind: str, captions: Iterable[str], vocab_size: int) -> Tokenizer:
    """Make a tokenizer of a kind for these captions (a kind of fixed vocabulary ignores them).

    Args:
        kind: a key of KINDS.
        captions: all the text there is to learn from; read once.
        vocab_size: how many ids at most, pad included.

    Raises:
        UserError: unknown kind, no captions, or vocab_size too small for them; a public
            vocabulary is not here, or a library of the extra `glide` is not installed.
    """
    return _module(kind).train(captions, vocab_size)


def from_dict(d: dict[str, Any]) -> Tokenizer:
    """Make the tokenizer that its `to_dict` described.

    Raises:
        UserError: a kind this version does not know, or what it needs is not here.
    """
    return _module(d["kind"]).from_dict(d)


def _module(kind: str) -> ModuleType:
    if kind not in KINDS:
        raise UserError(f"unknown tokenizer {kind!r}: known are {', '.join(sorted(KINDS))}")
    try:
        return importlib.import_module(KINDS[kind])
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        raise UserError(
            f'the tokenizer {kind!r} needs {error.name}: pip install "glide_jax[glide]"'
        ) from error
