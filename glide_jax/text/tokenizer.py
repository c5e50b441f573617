"""From captions to the arrays a text encoder reads."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from glide_jax.errors import UserError


class Tokenizer(Protocol):
    """Text to ids. Picklable; the same text gives the same ids for ever.

    Attributes:
        vocab_size: how many ids there are, pad included.
        pad_id: the id that fills what the text leaves free.
        start_ids: what stands before the ids of every text, the empty one too.
        end_ids: what stands after them, even where a long text loses its end.
    """

    @property
    def vocab_size(self) -> int: ...  # noqa: D102

    @property
    def pad_id(self) -> int: ...  # noqa: D102

    @property
    def start_ids(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def end_ids(self) -> tuple[int, ...]: ...  # noqa: D102

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, neither padded nor cut nor framed; "" gives []."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return all there is to it, ready for JSON; `text.from_dict` makes it again.

        A public vocabulary, which never changes and is checked by its hash, is there by name.
        """
        ...


class TokenBatch(NamedTuple):
    """Captions as arrays.

    Attributes:
        tokens: i32[b l].
        mask: bool[b l], True where a token is the caption's own or frames it.
        cut: bool[b], True where the caption was longer than l allows and lost its end.
    """

    tokens: np.ndarray
    mask: np.ndarray
    cut: np.ndarray


def tokenize(tokenizer: Tokenizer, captions: Sequence[str], length: int) -> TokenBatch:
    """Encode captions, each framed, then cut or padded to `length` tokens.

    Where the tokenizer has no frame, the empty caption is all padding with an all-False mask: the
    null caption of classifier-free guidance (GLIDE, Nichol et al. 2021, section 2.3).

    Raises:
        UserError: `length` leaves no room for the frame.
    """
    start, end = tokenizer.start_ids, tokenizer.end_ids
    room = length - len(start) - len(end)
    if room < 0:
        raise UserError(
            f"text.length={length} leaves no room for a caption's start and end: set it to "
            f"{length - room} or more"
        )
    ids = [tokenizer.encode(caption) for caption in captions]
    framed = [[*start, *i[:room], *end] for i in ids]
    lengths = np.array([len(f) for f in framed], dtype=np.int64)
    mask = np.arange(length)[None, :] < lengths[:, None]
    tokens = np.full((len(ids), length), tokenizer.pad_id, dtype=np.int32)
    tokens[mask] = np.array([t for f in framed for t in f], dtype=np.int32)
    cut = np.array([len(i) > room for i in ids], dtype=bool)
    return TokenBatch(tokens=tokens, mask=mask, cut=cut)
