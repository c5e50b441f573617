"""Deep features that are kept from step to step, whatever is sampled and in which batches."""

import dataclasses

import jax
import numpy as np
import pytest
from sampling import pipeline_toys

from glide_jax.errors import UserError
from glide_jax.parallel.mesh import make_mesh, replicated
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.stages import make_stage

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
LEFT = np.arange(8)[None] < np.full((8, 1), 4)
PROMPTS = ["red square", ""]
SETTINGS = {"steps": 4, "guidance_scale": 3.0, "guidance_interval": (0.2, 0.8)}
INTERVAL = {"cache_interval": 2}


@pytest.fixture(scope="module")
def pipe():
    return Pipeline(pipeline_toys.stages()[:1])


@pytest.fixture(scope="module")
def output(pipe):
    return pipe(PROMPTS, seed=1, **SETTINGS, **INTERVAL)


@pytest.mark.slow
def test_an_image_does_not_depend_on_its_batch_and_comes_again(pipe, output):
    one_by_one = pipe(PROMPTS, seed=1, batch_size=1, **SETTINGS, **INTERVAL)
    np.testing.assert_allclose(one_by_one.arrays.astype(int), output.arrays, atol=1)
    assert output.provenance[1].settings["cache_interval"] == 2
    again = pipe.reproduce(one_by_one.provenance[1])
    np.testing.assert_array_equal(again.arrays[0], one_by_one.arrays[1])


@pytest.mark.slow
def test_every_device_keeps_the_features_of_its_share(pipe, output):
    stage = pipe.stages[0]
    everywhere = jax.device_put(stage.params, replicated(make_mesh(fsdp=1)))
    spread = Pipeline((dataclasses.replace(stage, params=everywhere),))
    found = spread(PROMPTS, seed=1, **SETTINGS, **INTERVAL)
    np.testing.assert_allclose(found.arrays.astype(int), output.arrays, atol=1)


def test_the_first_step_that_is_taken_computes_them(pipe):
    def edited(**more):
        return pipe.image_to_image(IMAGE, "", strength=0.25, **SETTINGS, **more).arrays.astype(int)

    np.testing.assert_allclose(edited(**INTERVAL), edited(), atol=1)


@pytest.mark.slow
def test_what_is_known_is_kept_by_repaint(pipe):
    found = pipe.inpaint(IMAGE, ~LEFT, "red square", resamples=2, **SETTINGS, **INTERVAL).arrays[0]
    np.testing.assert_array_equal(found[LEFT], IMAGE[LEFT])
    plain = pipe.inpaint(IMAGE, ~LEFT, "red square", resamples=2, **SETTINGS).arrays[0]
    assert (found[~LEFT] != plain[~LEFT]).any()


@pytest.mark.slow
def test_a_distilled_model_keeps_them():
    pipe = Pipeline(pipeline_toys.stages("stages.base.model.guidance_range=1,6")[:1])
    found, plain = (pipe("", steps=3, cache_interval=n).arrays for n in (2, 1))
    assert (found != plain).any()


@pytest.mark.slow
def test_an_upsampler_keeps_them_as_its_own_config_says():
    steps = "stages.upsampler.sampling.steps='3'"
    pipes = (
        Pipeline(pipeline_toys.stages(steps, f"stages.upsampler.sampling.cache_interval={n}"))
        for n in (2, 1)
    )
    found, plain = (pipe("", seed=1) for pipe in pipes)
    np.testing.assert_array_equal(found.stages[0], plain.stages[0])
    assert (found.stages[1] != plain.stages[1]).any()


def test_a_model_without_a_deep_part_is_refused(pipe):
    stage = pipe.stages[0]
    model = dataclasses.replace(stage.model, caching=None)
    rest = stage.params, stage.reader, stage.step
    flat = Pipeline((make_stage(stage.name, stage.config, model, *rest),))
    with pytest.raises(UserError, match=r"base's model, of family 'glide', has no deep part"):
        flat("", **INTERVAL)
