"""GLIDE's tokenizer: GPT-2's byte-pair encoding of lower-cased text (Radford et al. 2019)."""

from collections.abc import Iterable
from typing import Any

import tiktoken

from glide_jax.errors import UserError

KIND = "gpt2"

_FILES = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main"


class Gpt2Tokenizer:
    """Byte-pair encoding without start and end; it pads with the end-of-text token.

    Args:
        encoding: the vocabulary, with an end-of-text token.
    """

    start_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()

    def __init__(self, encoding: tiktoken.Encoding):
        self._encoding = encoding

    @property
    def vocab_size(self) -> int:
        """The number of ids, padding included."""
        return self._encoding.n_vocab

    @property
    def pad_id(self) -> int:
        """The id that pads short texts: that of end-of-text, which no text contains."""
        return self._encoding.eot_token

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, without padding or cutting; case is ignored."""
        return self._encoding.encode_ordinary(text.lower())

    def to_dict(self) -> dict[str, Any]:
        """The kind; the vocabulary is public and verified by its hash.

        It would take a megabyte of every checkpoint.
        """
        return {"kind": KIND}


def train(captions: Iterable[str], vocab_size: int) -> Gpt2Tokenizer:
    """GPT-2's tokenizer, whatever the captions.

    Args:
        captions: not read.
        vocab_size: must be 50,257.

    Raises:
        UserError: another vocab_size; or the vocabulary is not cached and can't be downloaded.
    """
    del captions
    tokenizer = _public()
    if vocab_size != tokenizer.vocab_size:
        raise UserError(
            f"text.vocab_size={vocab_size} is not GPT-2's; set it to {tokenizer.vocab_size}"
        )
    return tokenizer


def from_dict(d: dict[str, Any]) -> Gpt2Tokenizer:
    """GPT-2's tokenizer again. Raises UserError if its vocabulary can't be found, as `train`."""
    del d
    return _public()


def _public() -> Gpt2Tokenizer:
    try:
        # tiktoken downloads and caches the files, and verifies their hashes.
        return Gpt2Tokenizer(tiktoken.get_encoding("gpt2"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"GPT-2's vocabulary is not cached and can't be downloaded ({type(error).__name__}); "
            f"set TIKTOKEN_CACHE_DIR to a folder that holds {_FILES}/vocab.bpe as "
            f"6d1cbeee0f20b3d9449abfede4726ed8212e3aee and {_FILES}/encoder.json as "
            "6c7ea1a7e38e3a7f062df639a5b80947f075ffe6"
        ) from error
