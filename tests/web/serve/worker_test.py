"""The worker: images are what they are alone, cancelling frees the device, errors are one job's."""

import logging
import time

import numpy as np
import pytest
from sampling import pipeline_toys
from web.serve.serving_toys import ADA, BEN, ENDED, events, gated, page, pixels_of

from glide_jax.errors import UserError
from glide_jax.sampling.output import read_provenance
from glide_jax.web.serve import jobs


@pytest.fixture(scope="module")
def tiny():
    return pipeline_toys.pipeline()


@pytest.fixture(scope="module")
def served(tiny):
    with page(tiny) as (made, _):
        yield made


@pytest.mark.newest
def test_an_image_is_the_command_s(served, tiny, tmp_path):
    job = served.sampled(num_images=3, guidance_scale=2)
    expected = tiny("red square", num_images=3, seed=3, guidance_scale=2, batch_size=2)
    for i, image in enumerate(job["images"]):
        png = served.png(image["id"])
        np.testing.assert_array_equal(pixels_of(png), expected.arrays[i])
        (tmp_path / "a.png").write_bytes(png)
        made = read_provenance(tmp_path / "a.png")
        again = tiny.reproduce(made)
        np.testing.assert_array_equal(again.arrays[0], expected.arrays[i])
        assert (made.prompt, made.seed, made.index) == ("red square", 3, i)
        assert image["provenance"]["seed"] == 3


def test_two_people_share_a_batch_and_do_not_mix():
    made = gated()
    with page(made) as (served, _):
        first = served.submit(ADA, prompt="", seed=0).json["id"]
        served.wait(first, lambda job: job["state"] == "running")
        ids = [
            served.submit(client, prompt=prompt, seed=seed, num_images=2).json["id"]
            for client, prompt, seed in ((ADA, "red square", 1), (BEN, "blue square", 2))
        ]
        made.let()
        done = [served.wait(job_id) for job_id in ids]
        alone = [
            served.sampled(prompt=p, seed=s, num_images=2)
            for p, s in (("red square", 1), ("blue square", 2))
        ]
        for one, other in zip(done, alone, strict=True):
            for a, b in zip(one["images"], other["images"], strict=True):
                np.testing.assert_array_equal(served.pixels(a["id"]), served.pixels(b["id"]))
    # Both clients' in each batch, but for the first.
    assert [sorted(batch) for batch in made.batches[1:3]] == [["blue square", "red square"]] * 2


def test_a_cancelled_job_ends_at_the_next_step_and_the_next_begins():
    made = gated()
    with page(made) as (served, _):
        long = served.submit(num_images=8).json["id"]
        short = served.submit(BEN, seed=1).json["id"]
        served.wait(long, lambda job: job["state"] == "running")
        made.let(1)
        job = served.wait(long, lambda job: job["images"][0]["preview"])
        assert 0 < job["fraction"] < 1
        preview = served.get(job["images"][0]["preview"])
        assert pixels_of(preview.body).shape == (8, 8, 3)
        assert served.send("POST", f"/api/jobs/{long}/cancel", b"").json["state"] == "cancelled"
        made.let()
        assert served.wait(short)["state"] == "done"
        assert served.job(long)["state"] == "cancelled"
    # Ada's first batch had Ben's image in no slot or one; none of Ada's others was begun.
    assert len(made.batches) <= 2


def test_a_job_that_nobody_follows_is_cancelled(monkeypatch):
    monkeypatch.setattr(jobs, "GRACE_S", 0.3)
    made = gated()
    with page(made) as (served, worker):
        lost = served.submit().json["id"]
        queued = served.submit(num_images=4, seed=9).json["id"]
        job = worker.find(lost)
        assert job is not None

        deadline = time.monotonic() + 60
        time.sleep(0.5)
        made.let(1)  # it looks at the next step
        while not job.has_ended:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert served.job(lost)["error"] == "Nobody waited for it any more."
        assert served.wait(queued)["state"] == "cancelled"
        monkeypatch.undo()
        made.let()
        assert served.sampled(seed=5)["state"] == "done"
    assert len(made.batches) == 2


def test_a_stream_keeps_a_job_alive_and_says_all_that_happens(served, monkeypatch):
    monkeypatch.setattr(jobs, "GRACE_S", 0.05)
    reply = served.submit(num_images=2)
    stream = served.get(f"/api/events?jobs={reply.json['id']},nobody-nobody")
    assert stream.headers["content-type"].startswith("text/event-stream")
    found = events(stream.body)
    assert found[-1]["state"] == "done"
    assert {one["id"] for one in found} == {reply.json["id"]}
    fractions = [one["fraction"] for one in found if one["state"] == "running"]
    assert all(0 <= fraction <= 1 for fraction in fractions)


class Failing:
    """A pipeline whose device fails for some prompts."""

    def __init__(self, pipeline, error):
        self._pipeline, self._error = pipeline, error
        self.stages, self.clip, self.classifier = pipeline.stages, None, None

    def sample_rows(self, rows, **keywords):
        if any(row.request.subjects[row.place].prompt == "blue square" for row in rows):
            raise self._error
        return self._pipeline.sample_rows(rows, **keywords)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (UserError("there is too little memory: sample fewer"), "there is too little memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: a long story"), "Something went wrong while sampling"),
    ],
    ids=["user", "device"],
)
def test_what_fails_is_said_of_its_job_alone(tiny, error, sentence, caplog):
    caplog.set_level(logging.CRITICAL, "glide_jax")
    with page(Failing(tiny, error)) as (served, _):
        ids = [served.submit(ADA, prompt=p).json["id"] for p in ("blue square", "red square")]
        failed, done = [served.wait(job_id) for job_id in ids]
        assert (failed["state"], done["state"]) == ("failed", "done")
        assert failed["error"].startswith(sentence)
        assert "RESOURCE" not in failed["error"]
        assert served.sampled(seed=8)["state"] in ENDED
