"""Byte-pair encoding learned from the captions (SentencePiece, Kudo & Richardson 2018)."""

import base64
import io
import logging
import re
from collections.abc import Iterable
from typing import Any

import sentencepiece

from glide_jax.errors import UserError

KIND = "sentencepiece"

_PAD_ID = 0
_UNK_ID = 1
_ERRORS_ONLY = 2  # of SentencePiece's own log levels
_log = logging.getLogger(__name__)


class SentencePieceTokenizer:
    """A trained SentencePiece model.

    Args:
        model: the bytes of its .model file.
    """

    start_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()

    def __init__(self, model: bytes):
        self._model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    @property
    def vocab_size(self) -> int:
        """The number of ids, pad included."""
        return self._processor.vocab_size()

    @property
    def pad_id(self) -> int:
        """The id that fills what the text leaves free."""
        return self._processor.pad_id()

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, neither padded nor cut; case is folded."""
        return self._processor.encode(_valid(text))

    def to_dict(self) -> dict[str, Any]:
        """Return the model, ready for JSON."""
        return {"kind": KIND, "model": base64.b64encode(self._model).decode()}

    def __reduce__(self):
        return SentencePieceTokenizer, (self._model,)


def train(captions: Iterable[str], vocab_size: int) -> SentencePieceTokenizer:
    """Learn a vocabulary from captions; the same captions give the same one.

    Whatever is not in the vocabulary is spelled in its UTF-8 bytes, so any script encodes.

    Args:
        captions: the text; read once.
        vocab_size: how many ids to learn, 256 bytes, pad and unknown included. Captions too
            poor for that many give fewer, and the log says how many.

    Raises:
        UserError: there is no text, or its characters alone are more than vocab_size.
    """
    texts = list(dict.fromkeys(c.strip() for c in map(_valid, captions) if c.strip()))
    if not texts:
        raise UserError("there are no captions to learn a tokenizer from: check the data set")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            # The unigram model keeps few whole words of the short, repetitive captions of a
            # small data set: "red" became two tokens where byte-pair merging gives one.
            model_type="bpe",
            byte_fallback=True,
            # Full case folding: a prompt's capitals mean nothing.
            normalization_rule_name="nmt_nfkc_cf",
            pad_id=_PAD_ID,
            unk_id=_UNK_ID,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,  # several add floats up in no fixed order
            minloglevel=_ERRORS_ONLY,
        )
    except RuntimeError as error:
        needed = re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error))
        if not needed:
            raise
        raise UserError(
            f"text.vocab_size={vocab_size} is too small: these captions' characters alone need "
            f"{needed[1]}"
        ) from error
    tokenizer = SentencePieceTokenizer(model.getvalue())
    if tokenizer.vocab_size < vocab_size:
        _log.info("the captions give %d tokens, not %d", tokenizer.vocab_size, vocab_size)
    return tokenizer


def from_dict(d: dict[str, Any]) -> SentencePieceTokenizer:
    """Make the tokenizer that its `to_dict` described."""
    return SentencePieceTokenizer(base64.b64decode(d["model"]))


def _valid(text: str) -> str:
    """Replace what UTF-8 cannot hold: lone surrogates, as a wrongly set terminal makes them."""
    return text.encode("utf-8", "replace").decode("utf-8")
