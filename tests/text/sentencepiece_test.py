import itertools
import json
import pickle

import pytest

from glide_jax import text
from glide_jax.errors import UserError

_CAPTIONS = [
    f"a {colour} {shape} {place} a {other}"
    for colour, shape, place, other in itertools.product(
        ("red", "blue", "green"), ("circle", "square", "star"), ("above", "left of"), ("box", "cup")
    )
]
_SAMPLES = (
    *_CAPTIONS[:3],
    "A RED circle",
    "ein rotes Dreieck über дом",
    "猫が好き 🦊👩🏽‍🚒",
    "ﷺ عربي \u200f",
    "tab\tnew\nline \x00 <pad><unk></s> ▁",
    "\ud800 half a pair",
)


@pytest.fixture(scope="module")
def tokenizer():
    return text.train("sentencepiece", iter(_CAPTIONS), 320)


@pytest.mark.parametrize("sample", _SAMPLES)
def test_any_text_encodes_without_unknowns(tokenizer, sample):
    ids = tokenizer.encode(sample)
    assert ids
    assert all(0 <= i < tokenizer.vocab_size for i in ids)
    assert tokenizer.pad_id not in ids
    assert tokenizer._processor.unk_id() not in ids


def test_different_scripts_stay_different(tokenizer):
    texts = ["кот", "кит", "猫", "犬", "🦊", "🐻", "é", "e"]
    assert len({tuple(tokenizer.encode(t)) for t in texts}) == len(texts)


def test_known_words_are_whole_tokens(tokenizer):
    assert len(tokenizer.encode("a red circle above a box")) == 6


def test_capitals_mean_nothing(tokenizer):
    assert tokenizer.encode("A Red CIRCLE") == tokenizer.encode("a red circle")


@pytest.mark.parametrize("nothing", ["", " ", "\n"])
def test_nothing_is_no_tokens(tokenizer, nothing):
    assert tokenizer.encode(nothing) == []
    assert not text.tokenize(tokenizer, [nothing], 4).mask.any()


@pytest.mark.parametrize(
    "copy",
    [
        lambda t: text.from_dict(json.loads(json.dumps(t.to_dict()))),
        lambda t: pickle.loads(pickle.dumps(t)),
        lambda t: text.train("sentencepiece", _CAPTIONS, 320),
    ],
    ids=["json", "pickle", "trained again"],
)
def test_copies_are_equal(tokenizer, copy):
    other = copy(tokenizer)
    assert other.to_dict() == tokenizer.to_dict()
    assert (other.vocab_size, other.pad_id) == (tokenizer.vocab_size, tokenizer.pad_id)
    assert [other.encode(s) for s in _SAMPLES] == [tokenizer.encode(s) for s in _SAMPLES]


def test_vocabulary_is_as_large_as_asked_or_as_the_captions_give(tokenizer, caplog):
    assert tokenizer.vocab_size == 320
    with caplog.at_level("INFO"):
        poor = text.train("sentencepiece", ["a"], 4096)
    assert poor.vocab_size < 300
    assert f"{poor.vocab_size} tokens, not 4096" in caplog.text
    assert all(i < poor.vocab_size for s in _SAMPLES for i in poor.encode(s))


def test_training_is_quiet(capfd):
    text.train("sentencepiece", _CAPTIONS, 300)
    assert capfd.readouterr() == ("", "")


def test_too_small_a_vocabulary_says_how_many_it_needs():
    with pytest.raises(UserError, match=r"text\.vocab_size=100.* to (\d+)") as caught:
        text.train("sentencepiece", _CAPTIONS, 100)
    needed = int(str(caught.value).split()[-1])
    assert text.train("sentencepiece", _CAPTIONS, needed).vocab_size == needed


@pytest.mark.parametrize("some", [[], _CAPTIONS])
def test_long_captions_are_learned_from_their_beginnings_and_read(some, caplog):
    long = ["zigzag " * 700 + f"{i}" for i in range(3)]
    tokenizer = text.train("sentencepiece", [*some, *long], 320)
    (message,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert f"3 of {len(some) + 3} captions are longer than 4,192 bytes" in message
    assert len(tokenizer.encode("zigzag zigzag")) == 2
    batch = text.tokenize(tokenizer, long, 8)
    assert batch.cut.all()
    assert batch.mask.all()


def test_a_caption_of_the_longest_length_is_complete(caplog):
    text.train("sentencepiece", ["x" * 4185 + " barnes"], 320)
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


@pytest.mark.parametrize("letter", ["x", "é", "猫"])
def test_a_long_caption_without_a_space_is_cut_between_characters(letter):
    tokenizer = text.train("sentencepiece", [letter * 5000], 320)
    assert len(tokenizer.encode(letter * 64)) < 64


@pytest.mark.parametrize("captions", [[], ["", "  "], ["\u200b"], ["\u2581"], ["\u2585", "\ufffd"]])
def test_no_captions(captions):
    with pytest.raises(UserError, match="no captions"):
        text.train("sentencepiece", captions, 300)


def test_whatever_sentencepiece_says_is_one_line():
    with pytest.raises(UserError, match=r"text\.vocab_size=1 .*unk_id.*260 or more"):
        text.train("sentencepiece", ["a barn"], 1)


@pytest.mark.parametrize("model", ["", "!!", "AAAA", None])
def test_a_damaged_model_is_one_line(model):
    with pytest.raises(UserError, match="tokenizer in the checkpoint is damaged"):
        text.from_dict({"kind": "sentencepiece", "model": model})
