"""BERT's tokenizer, uncased: WordPiece (Wu et al. 2016, sec. 4.1) over a `vocab.txt`.

    text ─ lower case, no accents ─ words and punctuation ─ longest known pieces ─→ ids

A caption stands between [CLS] and [SEP]; a long one is cut before its [SEP]. Special tokens written
out in a caption are ordinary text.
"""

import hashlib
from pathlib import Path

from tokenizers import Tokenizer as Pieces
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from glide_jax.errors import UserError
from glide_jax.text.tokenizer import valid_unicode

_PADDING, _UNKNOWN, _START, _END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
_LONGEST_WORD = 100  # Longer ones are [UNK], as in the reference.


class WordPieceTokenizer:
    """A `FrozenTokenizer`.

    Args:
        vocabulary: the text of vocab.txt: a piece a line, whose number is its id.

    Raises:
        UserError: it lacks BERT's special tokens.
    """

    def __init__(self, vocabulary: str):
        self._text = vocabulary
        # Not splitlines: some pieces are what Unicode takes for the end of a line.
        pieces = vocabulary.rstrip("\n").split("\n")
        ids = {piece: i for i, piece in enumerate(pieces)}
        missing = [name for name in (_PADDING, _UNKNOWN, _START, _END) if name not in ids]
        if missing:
            raise UserError(f"it has no {', '.join(missing)}: it is not a vocabulary of BERT's")
        self.vocab_size = len(pieces)
        self.pad_id = ids[_PADDING]
        self.start_ids, self.end_ids = (ids[_START],), (ids[_END],)
        self._pieces = Pieces(
            WordPiece(ids, unk_token=_UNKNOWN, max_input_chars_per_word=_LONGEST_WORD)
        )
        self._pieces.normalizer = BertNormalizer(lowercase=True)
        self._pieces.pre_tokenizer = BertPreTokenizer()

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, without padding, cutting, [CLS] and [SEP]; case is ignored."""
        return self._pieces.encode(valid_unicode(text)).ids

    def fingerprint(self) -> str:
        """SHA-256 of the vocabulary."""
        return hashlib.sha256(self._text.encode()).hexdigest()


def read_wordpiece_tokenizer(path: Path, rows: int) -> WordPieceTokenizer:
    """The tokenizer of a `vocab.txt`.

    Args:
        path: the file.
        rows: of the encoder's embedding table.

    Raises:
        UserError: it can't be read, is no vocabulary of BERT's, or has more pieces than `rows`.
    """
    try:
        tokenizer = WordPieceTokenizer(path.read_text("utf-8").replace("\r\n", "\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't read {path} ({error}): get the model's vocab.txt") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if tokenizer.vocab_size > rows:
        raise UserError(
            f"{path} has {tokenizer.vocab_size} pieces, and the encoder knows {rows}: they are of "
            "different models"
        )
    return tokenizer
