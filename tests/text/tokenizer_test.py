import numpy as np
import pytest

from glide_jax import text
from glide_jax.errors import UserError


class _Letters:
    """a is 1, b is 2, …; 0 pads."""

    vocab_size = 27
    pad_id = 0

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
