"""The share of images that are what their captions say."""

import numpy as np
import pytest
import tiny

from glide_jax import data
from glide_jax.config import with_overrides
from glide_jax.data.shapes.builder import example
from glide_jax.errors import UserError
from glide_jax.evaluation import prompt_truth
from glide_jax.sampling.output import PipelineOutput


class FirstOfTest:
    """The first examples of the test split, without a disk."""

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return example("test", i, 64)


@pytest.fixture
def experiment(monkeypatch):
    monkeypatch.setattr(data, "prepare", lambda name, path: None)
    monkeypatch.setattr(data, "open_source", lambda name, path, split: FirstOfTest())
    changes = ["evaluation.splits=('test',)", "evaluation.guidance_scales=(1.0, 3.0)"]
    return with_overrides(tiny.experiment(), [*changes, "evaluation.num_captions=12"])


def score(images, experiment):
    """The figures of a pipeline that returns these images, whatever it is asked for."""
    output = PipelineOutput((np.stack(images),), ())
    return prompt_truth.evaluate(lambda captions, **rest: output, experiment, lambda row: None)


def test_the_images_themselves_score_all(experiment):
    scores = score([FirstOfTest()[i].image for i in range(12)], experiment)
    assert scores.keys() == {"test"}
    assert scores["test"].keys() == {"guidance_1", "guidance_3"}
    assert set(scores["test"]["guidance_3"].values()) == {1.0}


def test_the_share_is_of_images(experiment):
    right = [FirstOfTest()[i].image for i in range(12)]
    blank = np.full((64, 64, 3), 128, np.uint8)
    scores = score([*right[:9], blank, blank, blank], experiment)
    assert scores["test"]["guidance_1"]["all"] == 0.75


def test_a_data_set_without_a_scorer_is_refused(experiment):
    other = with_overrides(experiment, ["data.source=emoji/64"])
    with pytest.raises(UserError, match="'emoji/64' has no scorer"):
        score([FirstOfTest()[0].image], other)
