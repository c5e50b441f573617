"""CLIP score and R-precision, with a CLIP whose features are colours."""

import numpy as np
import pytest
import tiny
from evaluation import evaluation_toys
from models.model_toys import filled
from sampling import pipeline_toys
from shrinking import shrunk

from glide_jax.errors import UserError
from glide_jax.evaluation.evaluating import Instruments
from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.models.families import model_of
from glide_jax.sampling.guides import clip_guide
from glide_jax.sampling.request import Subject

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255,) * 3}


def direction(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def text_features(captions):
    return direction(np.float32([COLOURS[caption] for caption in captions]))


def image_features(images):
    return direction(images.mean((1, 2)).astype(np.float32) + 1)


CLIP = pipeline_toys.clip_guide(
    8,
    text_features=text_features,
    image_features=image_features,
    score=lambda captions, images: (text_features(captions) * image_features(images)).sum(-1),
)


def measured(shown, said, categories=()):
    pixels = np.stack([np.full((8, 8, 3), COLOURS[name], np.uint8) for name in shown])
    prompts = PromptSet("colours", "", tuple(map(Subject, said)), categories)
    instruments = Instruments(("clip_score", "r_precision"), 0, clip=CLIP)
    return instruments.of_images(image_set_of(pixels, "some"), prompts, None)


def test_images_that_fit_score_a_hundred_cosines():
    names = list(COLOURS) * 20
    found = measured(names, names)
    assert found["clip_score"].values["clip_score"].value == pytest.approx(100, abs=0.1)
    assert found["clip_score"].values["clip_cosine"].value == pytest.approx(1, abs=1e-3)
    share = found["r_precision"].values["r_precision"]
    assert share.value == 1
    assert share.high == pytest.approx(1)
    assert found["r_precision"].details["candidates"] == 4
    assert "chooses among 4 captions" in found["r_precision"].notes[0]


def test_a_quarter_that_does_not_fit_is_a_quarter_less():
    said = ["red", "green", "blue", "white"] * 20
    shown = ["red", "green", "blue", "red"] * 20
    categories = tuple(("light",) if name == "white" else ("plain",) for name in said)
    result = measured(shown, said, categories)["r_precision"]
    assert result.values["r_precision"].value == 0.75
    assert result.categories["light"]["r_precision"].value == 0
    assert result.categories["plain"]["r_precision"].value == 1
    low, high = result.values["r_precision"].low, result.values["r_precision"].high
    assert 0.6 < low < 0.75 < high < 0.85


def test_one_caption_alone_can_t_be_found_among_others():
    with pytest.raises(UserError, match="needs captions that differ"):
        measured(["red"] * 4, ["red"] * 4)


def test_a_real_clip_is_read_at_t_0_and_in_any_batch():
    experiment = shrunk(tiny.CONFIGS / "clip.py")
    stage = experiment.first_stage
    reader = tiny.reader()
    model = model_of(stage, vocab_size=reader.vocab_size, text_length=reader.length)
    guide = clip_guide(model, filled(model.shapes), reader, is_noised=True)
    images = np.concatenate(list(evaluation_toys.images(5, size=16).batches(5)))
    captions = ["red square", "blue square", "green square", "red square", "a"]
    together = guide.image_features(images)
    apart = np.concatenate([guide.image_features(images[:2]), guide.image_features(images[2:])])
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    texts = guide.text_features(captions)
    np.testing.assert_allclose(
        guide.score(captions, images), (texts * together).sum(-1), rtol=1e-5, atol=1e-6
    )
