"""A tiny cascade that is served, and a pipeline that waits for the test at every step."""

import contextlib
import dataclasses
import io
import json
import threading
import time

import numpy as np
from PIL import Image
from sampling import pipeline_toys
from web.web_toys import LOCAL, Served, serving

from glide_jax.sampling.output import PipelineOutput, provenance_of
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.run import RunResult
from glide_jax.web.serve.application import serve_application
from glide_jax.web.serve.worker import Worker

ADA, BEN = "ada-ada-ada", "ben-ben-ben"
SAMPLE = {"task": "sample", "prompt": "red square", "seed": 3}
ENDED = ("done", "failed", "cancelled")

RANDOM = np.random.default_rng(0)
HALF = np.arange(16)[None] >= np.full((16, 1), 8)
"""A mask of 16×16 pixels: the right half is to be repainted."""


def noise(*shape):
    """u8[shape]"""
    return RANDOM.integers(0, 256, shape, np.uint8)


def png(array, kind="PNG"):
    """The file of an image, or one of another kind."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def pixels_of(file):
    """The array of an image's file."""
    return np.asarray(Image.open(io.BytesIO(file)))


@dataclasses.dataclass(frozen=True)
class Gated(Pipeline):
    """Goes from one step to the next when the test lets it; counts what it samples."""

    gate: threading.Semaphore = dataclasses.field(default_factory=lambda: threading.Semaphore(0))
    batches: list = dataclasses.field(default_factory=list)
    is_open: threading.Event = dataclasses.field(default_factory=threading.Event)

    def sample_rows(self, rows, *, on_progress, **keywords):
        self.batches.append([row.request.subjects[row.place].prompt for row in rows])

        def gated(progress):
            while not self.is_open.is_set() and not self.gate.acquire(timeout=0.01):
                # The server looks at what is cancelled while a step takes long.
                pass
            on_progress(progress)

        return super().sample_rows(rows, on_progress=gated, **keywords)

    def let(self, steps=None):
        """Let it take so many steps; None: all from now on."""
        if steps is None:
            self.is_open.set()
        else:
            self.gate.release(steps)


@dataclasses.dataclass(frozen=True)
class Instant(Pipeline):
    """Makes images of nothing, at once; each is its seed and index."""

    def sample_rows(self, rows, *, batch_size, on_progress=None, progress_every=1):
        size = self.stages[-1].image_size
        outputs = []
        for slot, row in enumerate(rows):
            pixels = np.full((1, size, size, 3), row.request.seeds[row.place] % 251, np.uint8)
            pixels[..., 0] = row.place
            result = RunResult((pixels,), (row.place,), (((batch_size, slot),),))
            made = provenance_of(row.request, result, self.stages, self.origin)
            outputs.append(PipelineOutput((pixels,), made))
        return outputs

    @classmethod
    def tiny(cls):
        return cls(pipeline_toys.stages())


class Page(Served):
    """A server and what is asked of it."""

    def submit(self, client=ADA, **request):
        return self.post("/api/jobs", {"client": client, **SAMPLE, **request})

    def upload(self, data, kind="image/png", client=ADA):
        return self.send("POST", f"/api/images?client={client}", data, {"Content-Type": kind})

    def mask(self, array):
        """The name of a mask, sent: true is to be repainted."""
        return self.upload(png(array.astype(np.uint8) * 255)).json["id"]

    def job(self, job_id):
        return self.get(f"/api/jobs/{job_id}").json

    def wait(self, job_id, reached=lambda job: job["state"] in ENDED):
        deadline = time.monotonic() + 120
        while not reached(job := self.job(job_id)):
            assert time.monotonic() < deadline, job
            time.sleep(0.02)
        return job

    def sampled(self, client=ADA, **request):
        """The job, done."""
        reply = self.submit(client, **request)
        assert reply.status == 202, reply.body
        job = self.wait(reply.json["id"])
        assert job["state"] == "done", job
        return job

    def png(self, image_id):
        return self.get(f"/api/images/{image_id}.png").body

    def pixels(self, image_id):
        return pixels_of(self.png(image_id))

    def first_pixels(self, job):
        """Those of a job's first image."""
        return self.pixels(job["images"][0]["id"])


@contextlib.contextmanager
def page(pipeline=None, batch_size=2, access=LOCAL, port=0):
    pipeline = pipeline or pipeline_toys.pipeline()
    worker = Worker(pipeline, batch_size)
    app = serve_application(pipeline, worker, access, "tiny")
    worker.start()
    try:
        with serving(app, port) as served:
            yield Page(*served), worker
    finally:
        if isinstance(pipeline, Gated):
            pipeline.let()
        worker.stop()


def gated():
    return Gated(pipeline_toys.stages())


def events(body):
    lines = body.decode().split("\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data")]
