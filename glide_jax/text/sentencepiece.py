"""Byte-pair encoding learned from the captions (SentencePiece, Kudo & Richardson 2018)."""

import base64
import io
import logging
import re
from collections.abc import Iterable
from typing import Any

import sentencepiece

from glide_jax.errors import UserError, one_line
from glide_jax.text.tokenizer import valid_unicode

KIND = "sentencepiece"

_LEARNED_NOTHING = 258  # 256 bytes, padding and unknown
_PAD_ID = 0
_UNK_ID = 1
_ERRORS_ONLY = 2  # of SentencePiece's own log levels
_MAX_BYTES = 4192
"""SentencePiece leaves out longer texts: only their beginnings are learned from."""

_NO_CAPTIONS = "there are no captions to train a tokenizer on; check the data set"
_NOTHING_TO_LEARN = ("!sentences_.empty()", "(all_chars_count) > (0)")
"""What SentencePiece says of texts that have no characters but spaces and its own symbols."""

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
        self._pad_id = self._processor.pad_id()

    @property
    def vocab_size(self) -> int:
        """The number of ids, padding included."""
        return self._processor.vocab_size()

    @property
    def pad_id(self) -> int:
        """The id that pads short texts."""
        return self._pad_id

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, without padding or cutting; case is ignored."""
        return self._processor.encode(valid_unicode(text))

    def to_dict(self) -> dict[str, Any]:
        """The model as JSON-compatible data."""
        return {"kind": KIND, "model": base64.b64encode(self._model).decode()}

    def __reduce__(self):
        return SentencePieceTokenizer, (self._model,)


def train(captions: Iterable[str], vocab_size: int) -> SentencePieceTokenizer:
    """Learn a vocabulary from captions; the same captions give the same vocabulary.

    Text outside the vocabulary is encoded as its UTF-8 bytes, so any script can be encoded.

    Args:
        captions: the training text; read once.
        vocab_size: number of ids to learn, including 256 bytes, padding and unknown. Captions
            with too few distinct words give fewer ids; the log says how many. Of a caption longer
            than 4,192 bytes only the beginning is learned from.

    Raises:
        UserError: there are no captions, or none with characters to learn, or they have more
            distinct characters than vocab_size.
    """
    texts = _beginnings(dict.fromkeys(c.strip() for c in map(valid_unicode, captions) if c.strip()))
    if not texts:
        raise UserError(_NO_CAPTIONS)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            # The unigram model learns few complete words from the short, repetitive captions of a
            # small data set: "red" became two tokens, where byte-pair encoding gives one.
            model_type="bpe",
            byte_fallback=True,
            # Full case folding: the case of a prompt is ignored.
            normalization_rule_name="nmt_nfkc_cf",
            pad_id=_PAD_ID,
            unk_id=_UNK_ID,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,  # with several the order of float sums varies
            minloglevel=_ERRORS_ONLY,
        )
    except RuntimeError as error:
        raise _why(error, vocab_size) from error
    tokenizer = SentencePieceTokenizer(model.getvalue())
    # SentencePiece 0.2.1 raises an error, and 0.2.0 learns nothing.
    if tokenizer.vocab_size <= _LEARNED_NOTHING:
        raise UserError(_NO_CAPTIONS)
    if tokenizer.vocab_size < vocab_size:
        _log.info(
            "the captions give a vocabulary of %d tokens, not %d", tokenizer.vocab_size, vocab_size
        )
    return tokenizer


def from_dict(d: dict[str, Any]) -> SentencePieceTokenizer:
    """The tokenizer whose `to_dict` returned `d`."""
    model = base64.b64decode(d["model"], validate=True)
    if not model:
        raise ValueError("its model is empty")  # SentencePiece notices only at the first text
    return SentencePieceTokenizer(model)


def _beginnings(captions: Iterable[str]) -> list[str]:
    """The captions, those of more than _MAX_BYTES cut to their first words; the log counts them."""
    texts, cut = [], 0
    for caption in captions:
        data = caption.encode()
        if len(data) > _MAX_BYTES:
            cut += 1
            beginning = data[:_MAX_BYTES].decode("utf-8", "ignore")
            # Half a word is not learned, unless there is no other.
            caption = beginning.rsplit(maxsplit=1)[0]
        texts.append(caption)
    if cut:
        _log.warning(
            "%s of %s captions are longer than %s bytes: the vocabulary is learned from their "
            "beginnings",
            *(f"{count:,}" for count in (cut, len(texts), _MAX_BYTES)),
        )
    return texts


def _why(error: RuntimeError, vocab_size: int) -> UserError:
    """What to do about an error of SentencePiece's training."""
    if needed := re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error)):
        return UserError(
            f"text.vocab_size={vocab_size} is too small for the characters of these captions; set "
            f"it to {needed[1]}"
        )
    if any(reason in str(error) for reason in _NOTHING_TO_LEARN):
        return UserError(_NO_CAPTIONS)
    return UserError(
        f"SentencePiece can't learn text.vocab_size={vocab_size} tokens from these captions: "
        f"{one_line(error)}; set it to 260 or more, and check the captions"
    )
