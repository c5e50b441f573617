"""Tokenizers by kind, and captions as arrays.

To add a kind, write a module with `train(captions, vocab_size) -> Tokenizer` and
`from_dict(d) -> Tokenizer`, and add a line to KINDS; its tokenizers' `to_dict` returns
`{"kind": KIND, …}`. `config.text.tokenizer` is then its name. tests/text/tokenizer_test.py tests
what every tokenizer must do.
"""

import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from glide_jax.errors import UserError, one_line
from glide_jax.text.tokenizer import TokenBatch, Tokenizer, tokenize

__all__ = ["KINDS", "TokenBatch", "Tokenizer", "from_dict", "tokenize", "train"]

KINDS = {
    "clip_bpe": "glide_jax.text.clip_bpe",
    "gpt2": "glide_jax.text.gpt2",
    "sentencepiece": "glide_jax.text.sentencepiece",
}
"""Kind, the name in `config.text.tokenizer` → the module with its `train` and `from_dict`.

A module is imported when its kind is used: some need libraries of the extra `glide`.
"""

_EXTRAS = ("ftfy", "regex", "tiktoken", "tokenizers")
"""The libraries that the extra `glide` installs."""


def train(kind: str, captions: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a tokenizer on captions; a kind with a public vocabulary ignores them.

    Args:
        kind: a key of KINDS.
        captions: the training text; read once.
        vocab_size: the largest number of ids, padding included.

    Returns:
        The Tokenizer.

    Raises:
        UserError: unknown kind; no captions; vocab_size too small for them, or not that of the
            public vocabulary; the public vocabulary can't be found; or a library of the extra
            `glide` is not installed.
    """
    return _module(kind).train(captions, vocab_size)


def from_dict(d: dict[str, Any]) -> Tokenizer:
    """The tokenizer whose `to_dict` returned `d`.

    Raises:
        UserError: unknown kind; it is damaged; or its vocabulary or a library is missing, as for
            `train`.
    """
    try:
        return _module(d["kind"]).from_dict(d)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the tokenizer in the checkpoint is damaged ({one_line(error)}); use an earlier "
            "checkpoint, or import or train again"
        ) from error


def _module(kind: str) -> ModuleType:
    if kind not in KINDS:
        raise UserError(f"unknown tokenizer {kind!r}; known are {', '.join(sorted(KINDS))}")
    try:
        return importlib.import_module(KINDS[kind])
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        raise UserError(
            f'the tokenizer {kind!r} needs {error.name}; run pip install "glide_jax[glide]"'
        ) from error
