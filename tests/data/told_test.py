"""What is told of a picture, and what is said where it can't be."""

import pickle

import numpy as np
import pytest
import tiny

from glide_jax.data.told import told_captions, told_labels, told_nothing
from glide_jax.errors import UserError

RNG = np.random.default_rng(0)


class Labelled:
    def __init__(self, classes):
        self.classes = classes


def test_one_of_the_captions_is_told():
    told = pickle.loads(pickle.dumps(told_captions(tiny.tokenizer(), 6)))
    rows = [told((("red square", "blue square"), None), RNG) for _ in range(20)]
    assert {tuple(row["tokens"]) for row in rows} == {
        tuple(told(((caption,), None), RNG)["tokens"]) for caption in ("red square", "blue square")
    }
    assert rows[0]["mask"].shape == (6,)


def test_a_label_is_told():
    told = pickle.loads(pickle.dumps(told_labels(Labelled(("a", "b")), "x", 3)))
    row = told((("",), 1), RNG)
    assert row["label"] == 1
    assert row["label"].dtype == np.int32
    assert told_nothing((("",), 1), RNG) == {}


@pytest.mark.parametrize(
    ("classes", "label", "message"),
    [
        (None, 0, r"'x' has no labels, and this model learns classes"),
        (("a", "b", "c", "d"), 0, r"'x' has 4 classes: set model.num_classes to as many, not 3"),
        ((), 3, r"captioned 'a cat', has the label 3; .* from 0 to 2"),
        ((), -1, r"has the label -1"),
        ((), None, r"has no label"),
    ],
)
def test_labels_that_are_missing_or_too_large_are_one_line(classes, label, message):
    with pytest.raises(UserError, match=message) as caught:
        told_labels(Labelled(classes), "x", 3)((("a cat",), label), RNG)
    assert "\n" not in str(caught.value)
