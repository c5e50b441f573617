"""What `glide-jax serve` offers: the tasks and settings of the models that it has."""

import dataclasses
import json

import numpy as np
import pytest
from sampling import pipeline_toys
from web.serve.serving_toys import ADA, noise, page, png

from glide_jax.sampling.pipeline import Pipeline
from glide_jax.web.serve.offer import offer_of


def test_what_the_models_can_do_is_what_is_offered(served):
    info = served.get("/api/info").json
    assert list(info["tasks"]) == ["sample", "inpaint", "edit", "upsample"]
    assert (info["image_size"], info["classes"], info["reads_captions"]) == (16, 0, True)
    names = {task: {field["name"] for field in fields} for task, fields in info["tasks"].items()}
    assert "resamples" in names["inpaint"]
    assert "strength" in names["edit"]
    assert not {"image", "strength", "clip_scale"} & names["sample"]


@pytest.mark.parametrize(
    ("stages", "tasks"),
    [
        (slice(0, 1), ["sample", "inpaint", "edit"]),
        (slice(1, 2), ["upsample"]),
    ],
    ids=["base", "upsampler"],
)
def test_a_pipeline_of_fewer_models_offers_less(stages, tasks):
    offer = offer_of(Pipeline(pipeline_toys.stages()[stages]))
    assert list(offer.tasks) == tasks


@pytest.mark.newest
def test_a_model_of_classes_samples_them_and_nothing_else():
    with page(Pipeline((pipeline_toys.class_stage(),))) as (served, _):
        info = served.get("/api/info").json
        assert (list(info["tasks"]), info["classes"]) == (["sample"], 3)
        names = {field["name"] for field in info["tasks"]["sample"]}
        assert "label" in names
        assert not {"prompt", "negative_prompt", "guidance_scale"} & names
        asked = {"client": ADA, "task": "sample", "label": 2}
        job = served.wait(served.post("/api/jobs", asked).json["id"])
        assert job["images"][0]["provenance"]["label"] == 2
        refused = served.post("/api/jobs", asked | {"label": 3})
        assert "from 0 to 2" in refused.json["error"]


@pytest.mark.newest
def test_a_model_that_was_trained_to_inpaint_is_not_offered_repaint():
    inpainter = Pipeline(pipeline_toys.stages("stages.base.model.inpaint=True")[:1])
    with page(inpainter) as (other, _):
        info = other.get("/api/info").json
        assert info["trained_to_inpaint"]
        assert "resamples" not in {field["name"] for field in info["tasks"]["inpaint"]}
        assert other.sampled()["state"] == "done"
        given = other.upload(png(noise(16, 16, 3))).json["id"]
        frame = {"left": -8, "top": 0, "side": 16}
        done = other.sampled(task="inpaint", image=given, frame=frame)
        assert other.first_pixels(done).shape == (16, 24, 3)
        done = other.sampled(task="inpaint", image=given, frame=frame, result="frame")
        assert other.first_pixels(done).shape == (8, 8, 3)


@pytest.mark.newest
def test_later_stages_have_settings_of_their_own(served):
    info = served.get("/api/info").json
    names = {task: {field["name"] for field in fields} for task, fields in info["tasks"].items()}
    own = {f"upsampler.{name}" for name in ("steps", "sampler", "guidance_scale", "aug_level")}
    assert own <= names["sample"] & names["edit"]
    assert own & names["inpaint"] == own - {"upsampler.sampler"}
    assert not own & names["upsample"]
    as_configured, other = (
        served.sampled(**more)
        for more in ({}, {"upsampler.steps": "10", "upsampler.aug_level": 0.5})
    )
    made = other["images"][0]["provenance"]
    assert made["overrides"] == [
        *("stages.upsampler.sampling.steps=10", "stages.upsampler.sampling.aug_level=0.5")
    ]
    assert as_configured["images"][0]["provenance"]["overrides"] == []
    assert (served.first_pixels(other) != served.first_pixels(as_configured)).any()
    # What a config says anyway is no change.
    same = served.sampled(**{"upsampler.steps": "2"})
    np.testing.assert_array_equal(served.first_pixels(same), served.first_pixels(as_configured))


@pytest.mark.newest
def test_the_best_of_several_are_kept():
    pipeline = pipeline_toys.pipeline()

    def score(captions, images):
        assert captions == ["red square"] * 3
        assert images.shape == (3, 8, 8, 3)
        return np.array([0.1, 0.9, 0.5])

    judged = dataclasses.replace(pipeline, clip=pipeline_toys.clip_guide(8, score=score))
    with page(judged) as (served, _):
        fields = {field["name"] for field in served.get("/api/info").json["tasks"]["sample"]}
        assert {"rerank", "clip_scale"} <= fields
        job = served.sampled(rerank=3, num_images=2)
        assert [image["provenance"]["index"] for image in job["images"]] == [1, 2]
        expected = judged("red square", seed=3, num_images=2, rerank=3)
        for image, one in zip(job["images"], expected.arrays, strict=True):
            np.testing.assert_array_equal(served.pixels(image["id"]), one)
        assert "ask for fewer" in served.submit(rerank=2, num_images=3).json["error"]


def test_the_document_lists_every_route_and_the_same_limits(served):
    document = served.get("/api/openapi.json").json
    assert document["openapi"] == "3.1.0"
    assert json.dumps(document).count("$ref") > 5
    bodies = document["paths"]["/api/jobs"]["post"]["requestBody"]["content"]["application/json"]
    tasks = {one["title"]: one["properties"] for one in bodies["schema"]["oneOf"]}
    info = served.get("/api/info").json
    for task, fields in info["tasks"].items():
        assert set(tasks[task]) == {"client", "task", *(field["name"] for field in fields)}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            reply = served.send(method.upper(), path.format(id="abcdefgh", place=0), b"")
            assert str(reply.status) in operation["responses"], (path, method)
            assert reply.status != 405
