"""Schemathesis reads the API's document and sends what fits it, and what does not.

The application is called as ASGI, in this process, and its worker makes images of nothing: a
request costs milliseconds, and each job that is accepted is followed to its end.
"""

import contextlib
import io
import re
import time

import numpy as np
import pytest
from PIL import Image
from sampling import pipeline_toys
from web.serve.serving_toys import ADA, ENDED, Instant

from glide_jax.web.access import Access
from glide_jax.web.serve.application import serve_application
from glide_jax.web.serve.fields import ID_PATTERN
from glide_jax.web.serve.kept_images import KeptImage, KeptImages
from glide_jax.web.serve.offer import offer_of
from glide_jax.web.serve.worker import Worker

schemathesis = pytest.importorskip("schemathesis")
engine = pytest.importorskip("schemathesis.engine")
strategies = pytest.importorskip("hypothesis.strategies")

pytestmark = pytest.mark.slow

TOKEN = {"Authorization": "Bearer fuzz"}
CONFIG = {
    "seed": 1,
    "headers": TOKEN,
    "generation": {"max-examples": 40, "deterministic": True, "database": "none"},
    "suppress-health-check": ["all"],
}

NOT_IN_A_SCHEMA = (
    *("nothing is to be repainted", "the mask has no white", "give a mask of the image's shape"),
    *("shows nothing of the image", "from 1 to 64 pixels", "a side are the most", "ask for fewer"),
)
"""Why a request that fits the document may be refused: what an image, or two fields, decide."""

RANDOM = np.random.default_rng(0)
HALF = np.full((16, 1), 255) * (np.arange(16)[None] >= 8)
PIXELS = {
    "photo": RANDOM.integers(0, 256, (16, 16, 3)),
    "wide, half transparent": RANDOM.integers(0, 256, (16, 24, 4)) // 128 * 255,
    "half": HALF,
    "white": np.full((16, 16), 255),
    "black": np.zeros((16, 16)),
}


def encoded(pixels, kind="PNG"):
    buffer = io.BytesIO()
    mode = "RGBA" if kind == "PNG" else "RGB"
    Image.fromarray(np.asarray(pixels, np.uint8)).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def one_of(known, name):
    """The same one of what is there for the same name; for some names None."""
    if not re.fullmatch(ID_PATTERN[1:-1], name):
        return None
    place = sum(name.encode()) % (len(known) + 1)
    return known[place] if place < len(known) else None


class AnyImages(KeptImages):
    """Most names that nobody has been given are those of images, too."""

    KEPT = tuple(
        KeptImage(ADA, encoded(pixels), pixels.shape[1], pixels.shape[0])
        for pixels in PIXELS.values()
    )

    def find(self, name):
        return super().find(name) or one_of(self.KEPT, name)


class AnyJobs(Worker):
    """Most names that nobody has been given are those of a client's first jobs, too."""

    def __init__(self, pipeline, batch_size):
        super().__init__(pipeline, batch_size)
        self.images, self.first = AnyImages(), []

    def submit(self, job):
        super().submit(job)
        self.first = [*self.first, job][:5]

    def find(self, job_id):
        return super().find(job_id) or one_of(self.first, job_id)


@contextlib.contextmanager
def documented(pipeline):
    """A worker, and the document of the application that gives it jobs."""
    worker = AnyJobs(pipeline, 4)
    app = serve_application(pipeline, worker, Access("fuzz"), "tiny")
    config = schemathesis.Config.from_dict(CONFIG)
    worker.start()
    try:
        yield (
            worker,
            schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=TOKEN, config=config),
        )
    finally:
        worker.stop()


def ended(worker, job_id):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with worker.lock:
            job = worker.find(job_id)
            if job.state in ENDED:
                return job
        time.sleep(0.001)
    raise AssertionError(f"{job_id} does not end")


def cascade():
    def score(captions, images):
        return np.arange(len(images), dtype=np.float32)

    clip = pipeline_toys.clip_guide(8, score=score)
    return Instant(pipeline_toys.stages(), clip=clip)


def classes():
    return Instant((pipeline_toys.class_stage(),))


def send_images():
    """What is sent as an image is one; what is none is sent in tests/stress/fuzz.py."""
    for kind in ("PNG", "JPEG", "WEBP"):
        files = [encoded(pixels, kind) for pixels in PIXELS.values()]
        schemathesis.openapi.media_type(f"image/{kind.lower()}", strategies.sampled_from(files))


@pytest.mark.parametrize("pipeline", [cascade, classes], ids=["cascade", "classes"])
def test_the_api_is_what_its_document_says(pipeline, tmp_path, monkeypatch):
    """No status, type or object that is not documented, no 5xx, no job that fails."""
    monkeypatch.chdir(tmp_path)  # where hypothesis keeps its files
    send_images()
    wrong, accepted, asked = [], set(), set()
    with documented(pipeline()) as (worker, document):

        @document.hook
        def filter_failure(context, failure, case, response):
            refused = response.json()["error"] if response.status_code == 400 else ""
            return not any(reason in refused for reason in NOT_IN_A_SCHEMA)

        @document.hook
        def after_call(context, case, response):
            if response.status_code < 300:
                asked.add(case.operation.definition.raw["operationId"])
            if response.status_code == 202:
                job = ended(worker, response.json()["id"])
                accepted.add(job.task)
                if job.state != "done":
                    wrong.append(f"{job.error}: {case.body}")

        for event in engine.from_schema(document).execute():
            assert type(event).__name__ not in ("NonFatalError", "FatalError"), event
            if recorder := getattr(event, "recorder", None):
                wrong += [
                    f"{node.failure_info.failure}: {node.failure_info.code_sample}"
                    for nodes in recorder.checks.values()
                    for node in nodes
                    if node.failure_info is not None
                ]
    assert "\n".join(wrong) == ""
    # It came through to everything, previews apart: nothing is sampled.
    operations = [one for path in document.raw_schema["paths"].values() for one in path.values()]
    assert asked == {one["operationId"] for one in operations} - {"preview"}
    assert accepted == set(offer_of(pipeline()).tasks)
