"""CLIP's tokenizer: byte-pair encoding by words, between a start and an end token.

    text ─ mended ─ words ─ bytes as characters ─ merges ─→ ids
           ftfy, HTML, spaces, lower case      (Sennrich et al. 2016)

A word's last character carries `</w>`, so that a word and the beginning of one differ
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
    """Byte-pair encoding by words; 0, which is also the id of `!`, pads.

    Args:
        merges: pairs of pieces, the one to join first coming first. A byte is written as
            GPT-2's printable character for it.
        vocab_size: rows of the embedding table that the ids are for, at least as many as there
            are ids.
    """

    pad_id: int = 0

    def __init__(self, merges: Merges, vocab_size: int):
        # In the order of their code points: so the published ids are numbered.
        characters = sorted(ByteLevel.alphabet())
        pieces = [*characters, *(c + _WORD_END for c in characters), *map("".join, merges)]
        pieces += [_START, _END]
        if vocab_size < len(pieces):
            raise UserError(
                f"text.vocab_size={vocab_size} is too small for CLIP's vocabulary: set it to "
                f"{len(pieces)}, or to the rows of the model's table"
            )
        ids = {piece: i for i, piece in enumerate(pieces)}
        self.vocab_size = vocab_size
        self.start_ids, self.end_ids = (ids[_START],), (ids[_END],)
        self._merges = merges
        self._pairs = BytePairs(BPE(ids, list(merges), end_of_word_suffix=_WORD_END))
        self._pairs.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
        # As in the reference, a text that spells them out has these two tokens.
        self._pairs.add_special_tokens([_START, _END])

    def encode(self, text: str) -> list[int]:
        """Encode any Unicode text, neither padded nor cut nor framed; capitals mean nothing."""
        words = _WORDS.findall(_mended(text).lower())
        return self._pairs.encode(words, is_pretokenized=True).ids

    def to_dict(self) -> dict[str, Any]:
        """Return kind and size, which say it all: the merges are public and known by their hash.

        Written out, they would be a megabyte in every checkpoint.
        """
        return {"kind": KIND, "vocab_size": self.vocab_size}

    def __reduce__(self):
        return ClipBpeTokenizer, (self._merges, self.vocab_size)


def train(captions: Iterable[str], vocab_size: int) -> ClipBpeTokenizer:
    """The one CLIP tokenizer, whatever the captions are.

    Args:
        captions: not read.
        vocab_size: 49,408 or more. GLIDE's CLIP has a table of 65,536, of which these are the
            first; the rest is never used.

    Raises:
        UserError: vocab_size is too small; or the vocabulary is not here.
    """
    del captions
    return ClipBpeTokenizer(_public_merges(), vocab_size)


def from_dict(d: dict[str, Any]) -> ClipBpeTokenizer:
    """Make the tokenizer again. Raises UserError where its vocabulary is not here."""
    return ClipBpeTokenizer(_public_merges(), d["vocab_size"])


def _public_merges() -> Merges:
    lines = gzip.decompress(read_clip_file()).decode().split("\n")
    # The first line is a title.
    return [(left, right) for left, right in map(str.split, lines[1 : _NUM_MERGES + 1])]


def _mended(text: str) -> str:
    """Undo wrong decodings and HTML's entities, which are often escaped twice; single spaces."""
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return regex.sub(r"\s+", " ", text.strip()).strip()
