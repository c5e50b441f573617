import json
import pickle

import numpy as np
import pytest
import text_toys

from glide_jax import text
from glide_jax.errors import UserError


class _Letters:
    """a is 1, b is 2, …; 0 pads."""

    vocab_size = 27
    pad_id = 0
    start_ids: tuple[int, ...] = ()
    end_ids: tuple[int, ...] = ()

    def encode(self, text):
        return [ord(c) - 96 for c in text]

    def to_dict(self):
        return {"kind": "letters"}


def test_pads_masks_and_cuts():
    batch = text.tokenize(_Letters(), ["ab", "abc", "abcd", ""], 3)
    np.testing.assert_array_equal(batch.tokens, [[1, 2, 0], [1, 2, 3], [1, 2, 3], [0, 0, 0]])
    np.testing.assert_array_equal(
        batch.mask, np.array([[1, 1, 0], [1, 1, 1], [1, 1, 1], [0, 0, 0]], bool)
    )
    np.testing.assert_array_equal(batch.cut, [False, False, True, False])
    assert (batch.tokens.dtype, batch.mask.dtype, batch.cut.dtype) == (np.int32, bool, bool)


class _Framed(_Letters):
    start_ids = (24, 25)
    end_ids = (26,)


def test_a_frame_stands_even_around_what_is_cut():
    batch = text.tokenize(_Framed(), ["a", "ab", "abc", ""], 5)
    np.testing.assert_array_equal(
        batch.tokens,
        [[24, 25, 1, 26, 0], [24, 25, 1, 2, 26], [24, 25, 1, 2, 26], [24, 25, 26, 0, 0]],
    )
    np.testing.assert_array_equal(batch.mask.sum(-1), [4, 5, 5, 3])
    np.testing.assert_array_equal(batch.cut, [False, False, True, False])


def test_a_frame_needs_its_room():
    np.testing.assert_array_equal(text.tokenize(_Framed(), ["a"], 3).tokens, [[24, 25, 26]])
    with pytest.raises(UserError, match=r"text\.length=2 .* 3 or more"):
        text.tokenize(_Framed(), ["a"], 2)


@pytest.mark.parametrize("captions", [[], ["", ""]])
def test_nothing_but_empty_captions(captions):
    batch = text.tokenize(_Letters(), captions, 5)
    assert batch.tokens.shape == batch.mask.shape == (len(captions), 5)
    assert not batch.mask.any()
    assert (batch.tokens == _Letters.pad_id).all()


def test_captions_do_not_depend_on_their_neighbours():
    together = text.tokenize(_Letters(), ["abc", "", "z"], 4)
    for i, caption in enumerate(["abc", "", "z"]):
        alone = text.tokenize(_Letters(), [caption], 4)
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_array_equal(a[0], b[i])


@pytest.mark.parametrize(
    "call", [lambda k: text.train(k, ["a"], 300), lambda k: text.from_dict({"kind": k})]
)
def test_unknown_kind(call):
    with pytest.raises(UserError, match=r"'sentencepeice'.*sentencepiece"):
        call("sentencepeice")


@pytest.fixture(scope="module", params=text.KINDS)
def tokenizer(request):
    return text_toys.ALL[request.param]()


SAMPLES = (
    "a red circle",
    "A Cat's",
    "猫が好き 🦊👩🏽 дом",
    "\x00\t<pad><|endoftext|> ",
    "\ud800 half",
)


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_kind_encodes_any_text(tokenizer, sample):
    ids = tokenizer.encode(sample)
    assert ids
    assert ids == tokenizer.encode(sample)
    assert all(0 <= i < tokenizer.vocab_size for i in ids)


def test_every_kind_has_its_own_ids_in_its_vocabulary(tokenizer):
    frame = [*tokenizer.start_ids, *tokenizer.end_ids]
    assert all(0 <= i < tokenizer.vocab_size for i in [tokenizer.pad_id, *frame])
    assert tokenizer.pad_id not in frame
    batch = text.tokenize(tokenizer, [""], 6)
    assert tokenizer.encode("") == []
    assert batch.tokens[batch.mask].tolist() == frame
    assert (batch.tokens[~batch.mask] == tokenizer.pad_id).all()


def test_every_kind_pickles(tokenizer):
    other = pickle.loads(pickle.dumps(tokenizer))
    assert [other.encode(s) for s in SAMPLES] == [tokenizer.encode(s) for s in SAMPLES]
    assert other.to_dict() == tokenizer.to_dict()


def test_every_kind_says_which_it_is_in_json(tokenizer):
    d = json.loads(json.dumps(tokenizer.to_dict()))
    assert text_toys.ALL[d["kind"]]().to_dict() == d == tokenizer.to_dict()
