"""The rows that a model is conditioned on, and the errors where there are none."""

import pickle

import numpy as np
import pytest
import tiny

from glide_jax.data.conditioning import caption_conditioning, label_conditioning, no_conditioning
from glide_jax.errors import UserError

RNG = np.random.default_rng(0)


class Labelled:
    def __init__(self, classes):
        self.classes = classes


def test_one_of_the_captions_is_sampled():
    conditioning = pickle.loads(pickle.dumps(caption_conditioning(tiny.reader())))
    rows = [conditioning((("red square", "blue square"), None), RNG) for _ in range(20)]
    assert {tuple(row["tokens"]) for row in rows} == {
        tuple(conditioning(((caption,), None), RNG)["tokens"])
        for caption in ("red square", "blue square")
    }
    assert rows[0]["mask"].shape == (6,)


def test_the_label_is_given():
    conditioning = pickle.loads(pickle.dumps(label_conditioning(Labelled(("a", "b")), "x", 3)))
    row = conditioning((("",), 1), RNG)
    assert row["label"] == 1
    assert row["label"].dtype == np.int32
    assert no_conditioning((("",), 1), RNG) == {}


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
        label_conditioning(Labelled(classes), "x", 3)((("a cat",), label), RNG)
    assert "\n" not in str(caught.value)
