"""Precision, recall and classes of images whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from glide_jax.data.shapes.builder import example
from glide_jax.data.shapes.scene import CLASSES
from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.experiments.measures.classified import Classified, class_shown
from glide_jax.sampling.request import Subject

ROWS = 12


@pytest.fixture(scope="module")
def examples():
    return [example("test", i, 32) for i in range(ROWS)]


def features(images):
    return np.float32(images).reshape(len(images), -1) / 255


def lab_of(examples, sampled, asked):
    """A lab whose model samples what is given; what it is asked for is noted."""
    true = np.stack([one.image for one in examples])

    def generate(name, settings, seed, prompts, *, num_stages, led_by):
        asked.append(([subject.label for subject in prompts.subjects], led_by))
        return image_set_of(sampled, "sampled")

    return SimpleNamespace(
        labels=lambda name: [one.label for one in examples],
        prompts=lambda name: PromptSet("test", "captions", (Subject(),) * len(examples)),
        generate=generate,
        pixels=lambda name, size: true,
        clip=lambda name: SimpleNamespace(image_features=features),
    )


def test_true_images_show_their_class_and_no_other(examples):
    pixels = np.stack([one.image for one in examples])
    labels = [one.label for one in examples]
    assert class_shown(pixels, labels).all()
    others = [(label + len(CLASSES) // 2) % len(CLASSES) for label in labels]
    assert class_shown(pixels, others).mean() < 0.2


def test_diverse_images_have_recall_and_one_image_again_and_again_has_none(examples):
    true, asked = np.stack([one.image for one in examples]), []
    measure = Classified("base", {}, "clip", "classifier", 4.0)
    found = measure.scores(lab_of(examples, true, asked), 0)
    assert [found[name].mean() for name in ("class_shown", "precision", "recall")] == [1, 1, 1]
    (labels, led_by) = asked[0]
    assert labels == [one.label for one in examples]
    assert led_by == ("classifier_scale", "classifier", 4.0)
    collapsed = measure.scores(lab_of(examples, np.repeat(true[:1], ROWS, 0), asked), 0)
    assert collapsed["precision"].mean() == 1
    assert collapsed["recall"].sum() == 1, "the image that is sampled"
    noise = np.random.default_rng(0).integers(0, 256, true.shape).astype(np.uint8)
    assert measure.scores(lab_of(examples, noise, asked), 0)["precision"].mean() == 0


def test_without_a_classifier_none_is_needed(examples):
    asked = []
    measure = Classified("base", {}, "clip")
    measure.scores(lab_of(examples, np.stack([one.image for one in examples]), asked), 0)
    assert asked == [([None] * ROWS, None)]
    assert measure.needs == ("base", "clip")
