"""T5's tokenizer: SentencePiece pieces (Kudo & Richardson 2018) from the released `spiece.model`.

A caption is its pieces, then the end token 1, then padding, 0; a long one is cut before its end
token. Special tokens written out in a caption, such as `</s>`, are ordinary text here.
"""

import hashlib
from pathlib import Path

import sentencepiece

from glide_jax.errors import UserError
from glide_jax.text.tokenizer import valid_unicode

_PAD_ID, _END_ID, _UNKNOWN_ID = 0, 1, 2


class T5Tokenizer:
    """A `FrozenTokenizer`.

    Args:
        model: the bytes of spiece.model.

    Raises:
        UserError: it is no SentencePiece model, or its special ids are not T5's.
    """

    pad_id: int = _PAD_ID
    start_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = (_END_ID,)

    def __init__(self, model: bytes):
        self._model = model
        damaged = UserError("it is not a SentencePiece model, or is damaged; get it again")
        if not model:  # which SentencePiece takes for no argument
            raise damaged
        try:
            pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise damaged from error
        self._pieces = pieces
        found = pieces.pad_id(), pieces.eos_id(), pieces.unk_id()
        if found != (_PAD_ID, _END_ID, _UNKNOWN_ID):
            raise UserError(
                f"padding, end and unknown are {found}, and T5's are {_PAD_ID}, {_END_ID} and "
                f"{_UNKNOWN_ID}: it is another model's"
            )

    @property
    def vocab_size(self) -> int:
        """Number of pieces; the embedding table has more rows."""
        return self._pieces.vocab_size()

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, without padding, cutting or the end token."""
        return self._pieces.encode(valid_unicode(text))

    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self._model).hexdigest()


def read_t5_tokenizer(path: Path, rows: int) -> T5Tokenizer:
    """The tokenizer of a released `spiece.model`.

    Args:
        path: the file.
        rows: of the encoder's embedding table.

    Raises:
        UserError: it can't be read, is no tokenizer of a T5, or has more pieces than `rows`.
    """
    try:
        tokenizer = T5Tokenizer(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"can't read {path} ({error.strerror or error}): T5's tokenizer is a file of that name "
            "beside its weights"
        ) from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if tokenizer.vocab_size > rows:
        raise UserError(
            f"{path} has {tokenizer.vocab_size} pieces, and the encoder knows {rows}: they are of "
            "different models"
        )
    return tokenizer
