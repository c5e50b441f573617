"""GLIDE's tokenizer: GPT-2's byte-pair encoding of lower-cased text (Radford et al. 2019)."""

from collections.abc import Iterable
from typing import Any

import tiktoken

from glide_jax.errors import UserError

KIND = "gpt2"

_FILES = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main"


class Gpt2Tokenizer:
    """Byte-pair encoding without a frame; the end-of-text token, which no text gives, pads.

    Args:
        encoding: the vocabulary; it has an end-of-text token.
    """

    start_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()

    def __init__(self, encoding: tiktoken.Encoding):
        self._encoding = encoding

    @property
    def vocab_size(self) -> int:
        """The number of ids, pad included."""
        return self._encoding.n_vocab

    @property
    def pad_id(self) -> int:
        """The id of end-of-text, which fills what the text leaves free."""
        return self._encoding.eot_token

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, neither padded nor cut; capitals mean nothing."""
        return self._encoding.encode_ordinary(text.lower())

    def to_dict(self) -> dict[str, Any]:
        """Return the kind, which says it all: the vocabulary is public and known by its hash.

        Written out, it would be a megabyte in every checkpoint.
        """
        return {"kind": KIND}


def train(captions: Iterable[str], vocab_size: int) -> Gpt2Tokenizer:
    """The one GPT-2 tokenizer, whatever the captions are.

    Args:
        captions: not read.
        vocab_size: GPT-2's, 50,257.

    Raises:
        UserError: another vocab_size; or the vocabulary is neither here nor to be fetched.
    """
    del captions
    tokenizer = _public()
    if vocab_size != tokenizer.vocab_size:
        raise UserError(
            f"text.vocab_size={vocab_size} is not GPT-2's: set it to {tokenizer.vocab_size}"
        )
    return tokenizer


def from_dict(d: dict[str, Any]) -> Gpt2Tokenizer:
    """Make the tokenizer again. Raises UserError where its vocabulary can't be had."""
    del d
    return _public()


def _public() -> Gpt2Tokenizer:
    try:
        # tiktoken keeps the files, and checks them by their hashes.
        return Gpt2Tokenizer(tiktoken.get_encoding("gpt2"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"GPT-2's vocabulary is not here and can't be fetched ({type(error).__name__}): set "
            f"TIKTOKEN_CACHE_DIR to a folder that holds {_FILES}/vocab.bpe as "
            f"6d1cbeee0f20b3d9449abfede4726ed8212e3aee and {_FILES}/encoder.json as "
            "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6"
        ) from error
