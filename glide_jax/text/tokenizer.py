"""From captions to the arrays a text encoder reads."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class Tokenizer(Protocol):
    """Text to ids. Picklable; the same text gives the same ids for ever.

    Attributes:
        vocab_size: how many ids there are, pad included.
        pad_id: the id that fills what the text leaves free.
    """

    @property
    def vocab_size(self) -> int: ...  # noqa: D102

    @property
    def pad_id(self) -> int: ...  # noqa: D102

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, neither padded nor cut; "" gives []."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return all there is to it, ready for JSON; `text.from_dict` makes it again."""
        ...


class TokenBatch(NamedTuple):
    """Captions as arrays.

    Attributes:
        tokens: i32[b l].
        mask: bool[b l], True where a token is the caption's own.
        cut: bool[b], True where the caption was longer than l and lost its end.
    """

    tokens: np.ndarray
    mask: np.ndarray
    cut: np.ndarray


def tokenize(tokenizer: Tokenizer, captions: Sequence[str], length: int) -> TokenBatch:
    """Encode captions, each cut or padded to `length` tokens.

    The empty caption is all padding with an all-False mask: the null caption of classifier-free
    guidance (GLIDE, Nichol et al. 2021, section 2.3).
    """
    ids = [tokenizer.encode(caption) for caption in captions]
    lengths = np.array([len(i) for i in ids], dtype=np.int64)
    mask = np.arange(length)[None, :] < lengths[:, None]
    tokens = np.full((len(ids), length), tokenizer.pad_id, dtype=np.int32)
    tokens[mask] = np.array([t for i in ids for t in i[:length]], dtype=np.int32)
    return TokenBatch(tokens=tokens, mask=mask, cut=lengths > length)
