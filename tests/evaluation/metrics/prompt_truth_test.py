"""The share of images that are what their captions say."""

import dataclasses

import numpy as np
import pytest
import tiny

from glide_jax import data
from glide_jax.data.shapes.builder import example
from glide_jax.errors import UserError
from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.evaluation.metric import Evaluation
from glide_jax.evaluation.metrics.prompt_truth import metric
from glide_jax.evaluation.prompt_sets.from_data import prompts_of_split

BLANK = np.full((64, 64, 3), 128, np.uint8)


class FirstOfTest:
    """The first examples of the test split, without a disk."""

    fingerprint = "first of test"

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return example("test", i, 64)


@pytest.fixture
def prompts(monkeypatch):
    monkeypatch.setattr(data, "prepare", lambda name, path: None)
    monkeypatch.setattr(data, "open_source", lambda name, path, split: FirstOfTest())
    return prompts_of_split(tiny.experiment(), "test", 12)


def score(images, prompts):
    return metric(Evaluation(0, images=image_set_of(np.stack(images), "some"), prompts=prompts))


def test_the_images_themselves_score_all(prompts):
    values = score([FirstOfTest()[i].image for i in range(12)], prompts).values
    assert next(iter(values)) == "prompt_truth"
    assert "prompt_truth_colour" in values
    for value in values.values():
        assert value.value == value.high == 1
        assert 0.2 < value.low < 1, "of so few, all right says little"


def test_the_share_is_of_images(prompts):
    right = [FirstOfTest()[i].image for i in range(12)]
    found = score([*right[:9], BLANK, BLANK, BLANK], prompts).values["prompt_truth"]
    assert found.value == 0.75
    # Wilson's interval of 9 of 12.
    assert (found.low, found.high) == pytest.approx((0.467, 0.911), abs=1e-3)


def test_a_data_set_without_a_scorer_is_refused(prompts):
    other = dataclasses.replace(prompts, source="emoji/64")
    with pytest.raises(UserError, match="can't be checked"):
        score([BLANK] * 12, other)
