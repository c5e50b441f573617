"""Guides: CLIP towards prompts, a classifier towards classes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.tree_util import Partial
from models.model_toys import filled
from sampling import pipeline_toys

from glide_jax.config import (
    ClassifierConfig,
    ClipConfig,
    ClipImageConfig,
    ClipTextConfig,
)
from glide_jax.errors import UserError
from glide_jax.models.classifier import classifier
from glide_jax.models.clip import clip
from glide_jax.sampling.guides import Guide, classifier_guide, clip_guide
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.text.reader import TokenReader

LENGTH = 6
TOKENIZER = tiny.tokenizer()


class Framed:
    """The toy tokenizer with a start: CLIP's text encoder wants one token or more."""

    vocab_size, pad_id, start_ids, end_ids = TOKENIZER.vocab_size, 0, (1,), (2,)

    def encode(self, text):
        return TOKENIZER.encode(text)


def guide_of_clip(is_noised):
    config = ClipConfig(
        "clip", ClipImageConfig(8, 4, 16, 1, 2, 1000), ClipTextConfig(16, 1, 2), 8, 100.0, "float32"
    )
    model = clip(config, vocab_size=TOKENIZER.vocab_size, text_length=LENGTH)
    reader = TokenReader(Framed(), LENGTH)
    return clip_guide(model, filled(model.shapes), reader, is_noised=is_noised)


@pytest.fixture(scope="module")
def clip_toy():
    return guide_of_clip(is_noised=True)


def bright(scale, x_t, t):
    return scale * x_t.sum((1, 2, 3))


@jax.jit
def value_of(log_probability, x_t, t):
    """Compiled as in a program: each operation by itself takes three times as long."""
    return log_probability(x_t, t)


@pytest.mark.newest
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_images_are_led_where_log_probability_rises(sampler):
    """The mean's way and the score's; a scale of 0 changes nothing."""
    guide = pipeline_toys.clip_guide(8, lambda _, scale: Partial(bright, jnp.float32(scale)))
    # Of one size, the toy's images are black or white already.
    pipe = Pipeline(pipeline_toys.stages(*tiny.ATTENDING)[:1], clip=guide)

    def mean(**settings):
        # Not the noisiest step, where a score shifted by s shifts x_0_hat by 2·10⁴ s.
        asked = {"guidance_scale": 1, "sampler": sampler, "steps": "ddim4"}
        return pipe("", **asked, **settings).arrays.mean()

    assert mean(clip_scale=0.5) > mean(clip_scale=0) + 1
    assert abs(mean(clip_scale=0) - mean()) < 0.1


@pytest.mark.newest
def test_log_probability_is_the_scaled_cosine(clip_toy):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    captions = ["red square", "blue square"]
    towards = clip_toy.log_probability(captions, 2.0)
    x_0 = jnp.asarray(images, jnp.float32) / 127.5 - 1
    got = value_of(towards, x_0, jnp.zeros(2, jnp.int32))
    np.testing.assert_allclose(
        got, 2 * clip_toy.logit_scale * clip_toy.score(captions, images), rtol=1e-4
    )


def test_a_clip_that_is_not_noised_takes_every_image_for_a_clean_one(clip_toy):
    x_t = jnp.asarray(np.random.default_rng(0).standard_normal((2, 8, 8, 3)), jnp.float32)
    first, last = jnp.zeros(2, jnp.int32), jnp.full(2, 999)
    other = guide_of_clip(is_noised=False)
    for guide, same in ((other, True), (clip_toy, False)):
        log_probability = guide.log_probability(["red square", "blue square"], 2.0)
        for of in (partial(value_of, log_probability), guide.noised_features):
            assert bool((of(x_t, first) == of(x_t, last)).all()) == same


def guide_of_classifier(is_noised):
    config = ClassifierConfig(
        family="classifier", num_classes=3, **pipeline_toys.shared(ClassifierConfig)
    )
    model = classifier(config)
    return classifier_guide(model, filled(model.shapes), 1000, is_noised=is_noised)


@pytest.mark.newest
@pytest.mark.parametrize("is_noised", [True, False])
def test_a_classifier_that_is_not_noised_takes_every_image_for_a_clean_one(is_noised):
    x_t = jnp.asarray(np.random.default_rng(0).standard_normal((2, 8, 8, 3)), jnp.float32)
    log_probability = guide_of_classifier(is_noised).log_probability([0, 1], 1.0)
    found = [value_of(log_probability, x_t, jnp.full(2, t)) for t in (0, 999)]
    assert bool((found[0] == found[1]).all()) != is_noised


@pytest.mark.slow
def test_a_classifier_leads_towards_its_class():
    guide = guide_of_classifier(is_noised=True)
    pipe = Pipeline((pipeline_toys.class_stage(),), classifier=guide)
    labels = [0, 1, 2, 2]
    plain = pipe.sample_classes(labels, sampler="ddpm", steps=8)
    assert (plain.arrays[2] != plain.arrays[3]).any()
    assert plain.provenance[1].label == 1
    led = pipe.sample_classes(labels, sampler="ddpm", steps=8, classifier_scale=20)
    towards = guide.log_probability(labels, 1.0)

    def log_probability(output):
        x_0 = jnp.asarray(output.arrays, jnp.float32) / 127.5 - 1
        return float(value_of(towards, x_0, jnp.zeros(4, jnp.int32)).mean())

    assert log_probability(led) > log_probability(plain)


def test_a_classifier_guides_a_model_that_knows_no_classes():
    def log_probability(labels, scale):
        return Partial(bright, jnp.float32(scale) * jnp.array(labels, jnp.float32))

    guide = Guide(8, 1000, log_probability)
    pipe = Pipeline(pipeline_toys.stages(*tiny.ATTENDING)[:1], classifier=guide)
    asked = {"guidance_scale": 1, "sampler": "ddpm", "steps": "ddim4"}
    dark, light = pipe.sample_classes([-1, 1], classifier_scale=0.5, **asked).arrays
    assert light.mean() > dark.mean() + 1
    with pytest.raises(UserError, match="not class-conditional"):
        pipe.sample_classes([0, 1], **asked)


@pytest.mark.slow
def test_clip_guides_a_whole_run(clip_toy):
    pipe = Pipeline(pipeline_toys.stages()[:1], clip=clip_toy)
    asked = {"guidance_scale": 1, "num_images": 2}
    towards_red = pipe("red square", clip_scale=5, **asked)
    assert (towards_red.arrays != pipe("red square", clip_scale=0, **asked).arrays).any()


def test_classes_are_asked_for_as_classes():
    pipe = Pipeline((pipeline_toys.class_stage(),))
    with pytest.raises(UserError, match="reads no captions"):
        pipe("red square")
    with pytest.raises(UserError, match=r"give 0 … 2"):
        pipe("")
    with pytest.raises(UserError, match="there is no class 3"):
        pipe.sample_classes([3])
    with pytest.raises(UserError, match="guidance_scale must be 1"):
        pipe.sample_classes([2], guidance_scale=3)
