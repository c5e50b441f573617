"""Sampling a model that is conditioned on the guidance scale: one evaluation a step."""

import dataclasses

import numpy as np
import pytest
from sampling import pipeline_toys

from glide_jax.errors import UserError
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.stages import make_stage
from glide_jax.web.serve.offer import offer_of

SCALES = "stages.base.model.guidance_range=1,6"


def distilled():
    """The base model of a cascade that nobody trained, and the batch sizes of its evaluations."""
    (stage, *_), sizes = pipeline_toys.stages(SCALES), []

    def apply(params, x_t, *arguments):
        sizes.append(len(x_t))
        return stage.model.apply(params, x_t, *arguments)

    model = dataclasses.replace(stage.model, apply=apply)
    rest = stage.params, stage.reader, stage.step
    return Pipeline((make_stage(stage.name, stage.config, model, *rest),)), sizes


@pytest.mark.newest
def test_guidance_takes_one_evaluation_and_another_scale_compiles_nothing():
    pipe, sizes = distilled()
    images = {scale: pipe("red square", guidance_scale=scale).arrays for scale in (1.0, 3.0, 6.0)}
    assert sizes == [1]
    assert (images[1.0] != images[3.0]).any()
    assert (images[3.0] != images[6.0]).any()
    both = pipe(["red square", "red square"], guidance_scale=[3.0, 6.0]).arrays
    assert {*sizes} == {1, 2}
    np.testing.assert_allclose(both[0], images[3.0][0], atol=1)
    assert pipe("red square").provenance[0].settings["guidance_scale"] == 3.0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"guidance_scale": 7}, "for scales from 1 to 6; guidance_scale=7 needs its teacher"),
        ({"guidance_scale": 0.5}, "for scales from 1 to 6; guidance_scale=0.5 needs"),
        ({"negative_prompt": "blue"}, "leave negative_prompt out"),
        ({"guidance_interval": (0.2, 0.8)}, "leave guidance_interval at"),
    ],
    ids=str,
)
def test_what_it_was_not_distilled_for_is_refused(settings, expected):
    with pytest.raises(
        UserError, match=rf"base is distilled: guidance is in its weights.*{expected}"
    ):
        distilled()[0]("red square", **settings)


@pytest.mark.newest
def test_a_later_stage_is_checked_with_its_own_settings():
    wrong = ("stages.upsampler.model.guidance_range=2,6",)  # its config's scale is 1
    with pytest.raises(UserError, match=r"upsampler is distilled.*guidance_scale=1 needs"):
        Pipeline(pipeline_toys.stages(*wrong))("red square")


def test_the_server_offers_what_it_can_do():
    fields = {field.name: field for field in offer_of(distilled()[0]).tasks["sample"]}
    assert (fields["guidance_scale"].low, fields["guidance_scale"].high) == (1, 6)
    assert "negative_prompt" not in fields
