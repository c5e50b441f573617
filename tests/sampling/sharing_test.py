"""Images of several requests in one batch: each is bit for bit what it is without the others."""

import dataclasses

import numpy as np
import pytest
from sampling import pipeline_toys

from glide_jax.sampling.images import Frame
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.program import StaticArguments
from glide_jax.sampling.request import Subject
from glide_jax.sampling.run import steps_of
from glide_jax.sampling.sharing import Row, shared_request, sharing_key
from glide_jax.sampling.tasks import (
    Wanted,
    edit_request,
    inpaint_request,
    sample_request,
    upsample_request,
)

RANDOM = np.random.default_rng(0)
MASK = np.zeros((16, 16), bool)
MASK[:, 8:] = True
STAGES = pipeline_toys.stages()


def image():
    return RANDOM.integers(0, 256, (16, 16, 3), np.uint8)


def wanted(prompt="red square", count=2, seed=0, negative="", **settings):
    return Wanted([Subject(prompt, negative)], count, seed, settings)


def sampled(**keywords):
    return sample_request(STAGES, wanted(**keywords))


TASKS = {
    "sample": lambda asked: sample_request(STAGES, asked),
    "inpaint": lambda asked: inpaint_request(STAGES, image(), MASK, None, asked),
    "edit": lambda asked: edit_request(STAGES, image(), 0.7, asked),
    "upsample": lambda asked: upsample_request(STAGES, image(), asked),
}


def compiled_programs(task):
    """How often the last stage's first part was compiled."""
    stage, inpaints = STAGES[-1], task == "inpaint"
    sampling = stage.inpaint_sampling if inpaints else stage.config.sampling
    resamples = sampling.resamples if inpaints else None
    static = StaticArguments(sampling.sampler, sampling.steps, resamples, stage.mesh)
    count = stage.program(static).begin._cache_size()
    assert count > 0
    return count


@pytest.mark.parametrize(
    "task", ["sample", *(pytest.param(t, marks=pytest.mark.slow) for t in list(TASKS)[1:])]
)
def test_an_image_does_not_depend_on_who_shares_its_batch(task):
    pipe = Pipeline(STAGES)
    settings = {"resamples": 1} if task == "inpaint" else {}
    a = TASKS[task](wanted("red square", 2, 5, guidance_scale=2, **settings))
    b = TASKS[task](wanted("blue square", 1, 2**40, guidance_scale=4, **settings))
    assert sharing_key(a) == sharing_key(b)
    rows = [Row(b, 0), Row(a, 1), Row(a, 0)]
    together = pipe.sample_rows(rows, batch_size=4)
    compiled = compiled_programs(task)
    for row, output in zip(rows, together, strict=True):
        (alone,) = pipe.sample_rows([row], batch_size=4)
        np.testing.assert_array_equal(output.arrays, alone.arrays)
        made = output.provenance[0]
        assert (made.task, made.prompt) == (task, row.request.subjects[0].prompt)
        assert (made.seed, made.index) == (row.request.seeds[0], row.place)
        assert made.settings["guidance_scale"] == row.request.settings.guidance_scales[0]
    assert compiled_programs(task) == compiled, "fewer rows are no other program"
    assert not np.array_equal(together[0].arrays, together[2].arrays)


def test_requests_with_other_settings_share_no_batch():
    key = sharing_key(sampled())
    assert key == sharing_key(sampled(prompt="blue square", count=7, seed=9, guidance_scale=8))
    others = [
        sampled(guidance_scale=1),
        sampled(steps=2),
        sampled(sampler="plms"),
        sampled(eta=0.5),
        sampled(negative="green square"),
        edit_request(STAGES, image(), 0.7, wanted()),
        edit_request(STAGES, image(), 0.3, wanted()),
        upsample_request(STAGES, image(), wanted()),
        inpaint_request(STAGES, image(), MASK, None, wanted()),
    ]
    keys = [key, *map(sharing_key, others)]
    assert len(set(keys)) == len(keys)


def test_a_batch_is_filled_up_and_every_array_has_a_row_for_each_image():
    asked = inpaint_request(STAGES, image(), MASK, None, wanted(count=3))
    shared = shared_request([Row(asked, 2)], 4)
    assert shared.indices == (2, 2, 2, 2)
    assert shared.settings.sampling.batch_size == 4
    for edit in shared.edits:
        assert edit.known is not None
        assert [len(part) for part in edit.known] == [4, 4]


@pytest.mark.parametrize(("strength", "steps"), [(None, (3, 2)), (1, (3, 2)), (0.1, (1, 2))])
def test_how_many_steps_a_request_takes_is_known_before(strength, steps):
    asked = sampled() if strength is None else edit_request(STAGES, image(), strength, wanted())
    seen = []
    request = dataclasses.replace(shared_request([Row(asked, 0)], 1), edits=asked.edits)
    assert steps_of(request, STAGES) == steps
    Pipeline(STAGES).sample_rows([Row(asked, 0)], batch_size=4, on_progress=seen.append)
    assert (
        tuple(max(p.num_steps for p in seen if p.stage == stage.name) for stage in STAGES) == steps
    )


def test_outpainting_keeps_the_image_where_the_frame_shows_it():
    asked = image()
    output = Pipeline(STAGES).inpaint(
        asked, None, "red square", frame=Frame(8, -4, 16), resamples=1, guidance_scale=1
    )
    np.testing.assert_array_equal(output.arrays[0][4:, :8], asked[:12, 8:])
