"""CLIP's tokenizer: byte-pair encoding word by word, between a start and an end token.

    text ─ cleaned ─ words ─ bytes as characters ─ merges ─→ ids
           ftfy, HTML, spaces, lower case       (Sennrich et al. 2016)

A word's last character carries `</w>`, which distinguishes a word from a prefix of a word
(CLIP, Radford et al. 2021, sec. 2.4).
"""

import gzip
import html
from collections.abc import Iterable, Sequence
from typing import Any

import ftfy
import regex
from tokenizers import Tokenizer as BytePairs
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from glide_jax.errors import UserError
from glide_jax.text.vocabulary import read_clip_file

KIND = "clip_bpe"

_START, _END, _WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
_NUM_MERGES = 48_894  # CLIP uses the first of its file's 262,144: 49,408 ids in all.
_WORDS = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'(?:s|t|re|ve|m|ll|d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)

Merges = Sequence[tuple[str, str]]


class ClipBpeTokenizer:
    """Byte-pair encoding word by word; it pads with 0, which is also the id of `!`.

    Args:
        merges: pairs of symbols to merge, in order of priority. A byte is written as GPT-2's
            printable character for it.
        vocab_size: rows of the model's embedding table, at least the number of ids.

    Raises:
        UserError: vocab_size is smaller than the number of ids.
    """

    pad_id: int = 0

    def __init__(self, merges: Merges, vocab_size: int):
        # Sorted by code point, as the published ids are numbered.
        characters = sorted(ByteLevel.alphabet())
        symbols = [*characters, *(c + _WORD_END for c in characters), *map("".join, merges)]
        symbols += [_START, _END]
        if vocab_size < len(symbols):
            raise UserError(
                f"text.vocab_size={vocab_size} is too small for CLIP's vocabulary; set it to "
                f"{len(symbols)}, or to the rows of the model's token embedding"
            )
        ids = {symbol: i for i, symbol in enumerate(symbols)}
        self.vocab_size = vocab_size
        self.start_ids, self.end_ids = (ids[_START],), (ids[_END],)
        self._merges = merges
        self._pairs = BytePairs(BPE(ids, list(merges), end_of_word_suffix=_WORD_END))
        self._pairs.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
        # As in the reference implementation, a text that contains them gets these two ids.
        self._pairs.add_special_tokens([_START, _END])

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, without padding, cutting, start and end; case is ignored."""
        words = _WORDS.findall(_cleaned(text).lower())
        return self._pairs.encode(words, is_pretokenized=True).ids

    def to_dict(self) -> dict[str, Any]:
        """Kind and size; the merges are public and verified by their hash.

        They would take a megabyte of every checkpoint.
        """
        return {"kind": KIND, "vocab_size": self.vocab_size}

    def __reduce__(self):
        return ClipBpeTokenizer, (self._merges, self.vocab_size)


def train(captions: Iterable[str], vocab_size: int) -> ClipBpeTokenizer:
    """CLIP's tokenizer, whatever the captions.

    Args:
        captions: not read.
        vocab_size: 49,408 or more. GLIDE's CLIP has an embedding table of 65,536 rows, of which
            the first 49,408 are used.

    Raises:
        UserError: vocab_size is too small; or the vocabulary is not in the cache folder.
    """
    del captions
    return ClipBpeTokenizer(_public_merges(), vocab_size)


def from_dict(d: dict[str, Any]) -> ClipBpeTokenizer:
    """CLIP's tokenizer again. Raises UserError if its vocabulary is not in the cache folder."""
    return ClipBpeTokenizer(_public_merges(), d["vocab_size"])


def _public_merges() -> Merges:
    lines = gzip.decompress(read_clip_file()).decode().split("\n")
    # The first line is a title.
    return [(left, right) for left, right in map(str.split, lines[1 : _NUM_MERGES + 1])]


def _cleaned(text: str) -> str:
    """Undo wrong decodings and HTML entities, often escaped twice; collapse whitespace."""
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return regex.sub(r"\s+", " ", text.strip()).strip()
