"""A cascade that reads a frozen encoder's embeddings, from prompt to image."""

import dataclasses
import itertools

import numpy as np
import pytest
import tiny
from models.model_toys import filled
from shrinking import shrunk
from toy_encoder import ToyEncoder

from glide_jax.encoders.lazy import Expected, PromptEncoder
from glide_jax.errors import UserError
from glide_jax.models.families import model_of
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.stages import make_stage, truncated_prompts
from glide_jax.text.reader import EmbeddingReader

pytestmark = pytest.mark.newest

EXPERIMENT = shrunk(
    tiny.CONFIGS / "imagen_quickstart.py",
    "stages.upsampler_128=none",
    "stages.base.sampling.steps='2'",
    "stages.upsampler.sampling.steps='2'",
)


def stage_of(name, encoder, traces):
    stage = EXPERIMENT.stages[name]
    model = model_of(stage, vocab_size=0, text_length=EXPERIMENT.text_length)

    def encode(params, condition):
        next(traces)
        return model.encode(params, condition)

    def apply(*arguments):
        next(traces)
        return model.apply(*arguments)

    counted = dataclasses.replace(model, encode=encode, apply=apply)
    reader = EmbeddingReader(encoder, EXPERIMENT.text_length, padding=False)
    return make_stage(name, stage, counted, filled(model.shapes), reader, step=0)


def with_upsampler(pipeline, **changes):
    """The pipeline whose upsampler has these settings."""
    base, upsampler = pipeline.stages
    sampling = dataclasses.replace(upsampler.config.sampling, **changes)
    config = dataclasses.replace(upsampler.config, sampling=sampling)
    return Pipeline((base, dataclasses.replace(upsampler, config=config)))


@pytest.fixture(scope="module")
def pipe():
    """A pipeline, and what counts how often its models were traced."""
    traces = itertools.count()
    encoder = ToyEncoder()
    stages = tuple(stage_of(name, encoder, traces) for name in EXPERIMENT.stages)
    settings = {"guidance_scale": 2.0, "dynamic_threshold": 0.9, "threshold_cap": 1.5}
    return with_upsampler(Pipeline(stages), **settings), lambda: int(repr(traces)[6:-1])


ASKED = {
    "prompt": ["a red disc", "a small box"],
    "seed": 3,
    "guidance_scale": 3,
    "dynamic_threshold": 0.9,
}


def test_a_prompt_becomes_an_image_and_others_compile_nothing(pipe):
    pipeline, traces = pipe
    first = pipeline(**ASKED)
    assert first.arrays.shape == (2, 16, 16, 3)
    before = traces()
    for changed in (
        {"prompt": ["a blue disc", "a small box"]},
        {"guidance_scale": 7.5},
        {"dynamic_threshold": 0.5},
        {"negative_prompt": "a box"},
    ):
        other = pipeline(**(ASKED | changed))
        assert (other.arrays[0] != first.arrays[0]).any(), changed
    assert traces() == before
    alone = pipeline(**(ASKED | {"prompt": "a red disc"}))
    assert np.abs(alone.arrays[0].astype(int) - first.arrays[0]).max() <= 1


def test_no_setting_of_an_upsampler_compiles_anew(pipe):
    pipeline, traces = pipe

    def images(**changes):
        return with_upsampler(pipeline, **changes)(**ASKED).arrays

    first, before = images(), traces()
    for changed in (
        {"guidance_scale": 5.0},
        {"dynamic_threshold": 0.5},
        {"threshold_cap": 1.1},
        {"aug_level": 0.6},
        {"temperature": 0.5},
    ):
        assert (images(**changed) != first).any(), changed
    assert traces() == before


def test_the_level_of_the_low_res_image_compiles_nothing(pipe):
    pipeline, traces = pipe
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    first = pipeline.upsample(image, "a red disc", aug_level=0.1).arrays
    before = traces()
    assert (pipeline.upsample(image, "a red disc", aug_level=0.6).arrays != first).any()
    assert traces() == before


def test_another_encoder_than_the_model_s_is_refused(pipe, tmp_path):
    pipeline, _ = pipe
    expected = Expected({"fingerprint": "f" * 8}, ToyEncoder.width, tmp_path)
    encoder = PromptEncoder(None, ToyEncoder(), expected)
    stages = tuple(
        dataclasses.replace(stage, reader=dataclasses.replace(stage.reader, encoder=encoder))
        for stage in pipeline.stages
    )
    with pytest.raises(UserError, match="another text encoder"):
        Pipeline(stages)("a red disc")


def test_what_is_cut_is_said(pipe):
    pipeline, _ = pipe
    long = "a " * 40
    assert truncated_prompts(pipeline.stages[0], ["a red disc", long]) == [long]
