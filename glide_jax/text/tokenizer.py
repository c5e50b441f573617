"""The Tokenizer interface, and captions as the arrays that text encoders read."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from glide_jax.errors import UserError


class TextToIds(Protocol):
    """Text to ids; the same text always gives the same ids.

    Attributes:
        pad_id: the id that pads short texts.
        start_ids: ids before those of every text, including the empty one.
        end_ids: ids after them, even if a long text is cut.
    """

    @property
    def pad_id(self) -> int: ...  # noqa: D102

    @property
    def start_ids(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def end_ids(self) -> tuple[int, ...]: ...  # noqa: D102

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, without padding, cutting, start_ids or end_ids; "" gives []."""
        ...


class Tokenizer(TextToIds, Protocol):
    """What a model is trained with: it is stored in the checkpoint. Picklable.

    Attributes:
        vocab_size: number of ids, padding included.
    """

    @property
    def vocab_size(self) -> int: ...  # noqa: D102

    def to_dict(self) -> dict[str, Any]:
        """The tokenizer as JSON-compatible data, from which `text.from_dict` restores it.

        A public vocabulary, which never changes and is verified by its hash, is only named.
        """
        ...


class TokenBatch(NamedTuple):
    """Captions as arrays.

    Attributes:
        tokens: i32[b l].
        mask: bool[b l], True where a token is the caption's, start_ids and end_ids included.
        cut: bool[b], True where the caption was too long and its end was cut off.
    """

    tokens: np.ndarray
    mask: np.ndarray
    cut: np.ndarray


class FrozenTokenizer(TextToIds, Protocol):
    """What a frozen encoder was trained with: its files are beside the encoder's weights."""

    def fingerprint(self) -> str:
        """SHA-256 of what its ids depend on."""
        ...


def tokenize(tokenizer: TextToIds, captions: Sequence[str], length: int) -> TokenBatch:
    """Encode captions between start_ids and end_ids, cut or padded to `length` tokens.

    Without start_ids and end_ids the empty caption is all padding with an all-False mask: the null
    caption of classifier-free guidance (GLIDE, Nichol et al. 2021, section 2.3).

    Args:
        tokenizer: of the model or the encoder.
        captions: b texts; "" is the null caption.
        length: l, the model's text length.

    Returns:
        A TokenBatch.

    Raises:
        UserError: `length` leaves no room for start_ids and end_ids.
    """
    start, end = tokenizer.start_ids, tokenizer.end_ids
    room = length - len(start) - len(end)
    if room < 0:
        raise UserError(
            f"text.length={length} leaves no room for the start and end tokens; set it to "
            f"{length - room} or more"
        )
    ids = [tokenizer.encode(caption) for caption in captions]
    rows = [[*start, *i[:room], *end] for i in ids]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    mask = np.arange(length)[None, :] < lengths[:, None]
    tokens = np.full((len(ids), length), tokenizer.pad_id, dtype=np.int32)
    tokens[mask] = np.array([t for row in rows for t in row], dtype=np.int32)
    cut = np.array([len(i) > room for i in ids], dtype=bool)
    return TokenBatch(tokens=tokens, mask=mask, cut=cut)


def valid_unicode(text: str) -> str:
    """Replace lone surrogates, from a misconfigured terminal say: UTF-8 can't encode them."""
    return text.encode("utf-8", "replace").decode("utf-8")
