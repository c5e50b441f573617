"""The routes of `glide-jax serve`: the page, and the API that it and programs use."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from glide_jax import __version__
from glide_jax.data.images import encode_png
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.web.access import Access
from glide_jax.web.application import build_application
from glide_jax.web.assets import page_routes
from glide_jax.web.bodies import read_body, read_json
from glide_jax.web.serve.asking import job_of
from glide_jax.web.serve.fields import Field, checked, described
from glide_jax.web.serve.jobs import Job
from glide_jax.web.serve.kept_images import KeptImage
from glide_jax.web.serve.offer import offer_of
from glide_jax.web.serve.openapi import CLIENT, document, task_field
from glide_jax.web.serve.uploads import MAX_UPLOAD_BYTES, read_upload
from glide_jax.web.serve.worker import Worker

MAX_UNFINISHED = 8
"""Jobs of one client."""

MAX_UNFINISHED_OF_ALL = 256

_MAX_FOLLOWED = 16
_MAX_UPLOADING = 8
"""At once, the others wait: so many times MAX_UPLOAD_BYTES of memory."""
_HEARTBEAT_S = 5.0
_BETWEEN_EVENTS_S = 0.05
_IMMUTABLE = {"cache-control": "private, max-age=86400, immutable"}
_NO_JOB = "There is no such job, or not any more."
_NO_IMAGE = "There is no such image, or not any more."


def serve_application(pipeline: Pipeline, worker: Worker, access: Access, name: str) -> ASGIApp:
    """The page and its API; /api/openapi.json describes it.

    Args:
        pipeline: what samples.
        worker: whose thread samples; somebody else starts it.
        access: who may use the page.
        name: of the models, for people.
    """
    page = _Serving(pipeline, worker, name)
    routes = [
        *page_routes(["common", "serve"]),
        Route("/api/openapi.json", page.openapi),
        Route("/api/info", page.info),
        Route("/api/images", page.upload, methods=["POST"]),
        Route("/api/images/{id}.png", page.image),
        Route("/api/jobs", page.submit, methods=["POST"]),
        Route("/api/jobs/{id}", page.job),
        Route("/api/jobs/{id}/cancel", page.cancel, methods=["POST"]),
        Route("/api/jobs/{id}/previews/{place:int}.png", page.preview),
        Route("/api/events", page.events),
    ]
    return build_application(routes, access)


class _Serving:
    def __init__(self, pipeline: Pipeline, worker: Worker, name: str):
        self._pipeline, self._worker = pipeline, worker
        offer = offer_of(pipeline)
        self._tables: dict[str, tuple[Field, ...]] = {
            task: (CLIENT, task_field(task), *fields) for task, fields in offer.tasks.items()
        }
        self._task = Field(
            "task", "choice", "what to do", choices=tuple(self._tables), required=True
        )
        self._document = document(self._tables)
        self._info = {
            "name": name,
            "version": __version__,
            "image_size": pipeline.stages[-1].image_size,
            "reads_captions": offer.reads_captions,
            "classes": offer.classes,
            "trained_to_inpaint": offer.trained_to_inpaint,
            "stages": [
                {"name": stage.name, "image_size": stage.image_size, "step": stage.step}
                for stage in pipeline.stages
            ],
            "tasks": {
                task: [described(field) for field in fields] for task, fields in offer.tasks.items()
            },
            "max_upload_bytes": MAX_UPLOAD_BYTES,
        }
        self._uploading = asyncio.Semaphore(_MAX_UPLOADING)
        self._decoding = asyncio.Semaphore(1)  # one photo's memory at a time

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(self._document)

    async def info(self, request: Request) -> Response:
        with self._worker.lock:
            waiting = len(self._worker.unfinished())
        return JSONResponse(self._info | {"unfinished_jobs": waiting})

    async def upload(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not kind.startswith("image/"):
            raise HTTPException(
                415, "Send the image itself, with a content type such as image/png."
            )
        client = checked([CLIENT], dict(request.query_params))["client"]
        async with self._uploading:
            data = await read_body(request, MAX_UPLOAD_BYTES)
        async with self._decoding:
            pixels = await run_in_threadpool(read_upload, data)
            png = await run_in_threadpool(encode_png, pixels)
        height, width = pixels.shape[:2]
        name = self._worker.images.add(KeptImage(client, png, width, height))
        return JSONResponse({"id": name, "width": width, "height": height}, 201)

    async def image(self, request: Request) -> Response:
        kept = self._worker.images.find(request.path_params["id"])
        if kept is None:
            raise HTTPException(404, _NO_IMAGE)
        return Response(kept.png, media_type="image/png", headers=_IMMUTABLE)

    async def submit(self, request: Request) -> Response:
        given = await read_json(request)
        task = checked([self._task], {k: v for k, v in given.items() if k == "task"})["task"]
        values = checked(self._tables[task], given)
        self._check_room(values["client"])
        job = await run_in_threadpool(job_of, self._pipeline, self._worker.images, values)
        with self._worker.lock:
            self._check_room(values["client"])  # others may have come meanwhile
            self._worker.submit(job)
        return JSONResponse(self._shown(job), 202)

    def _check_room(self, client: str) -> None:
        with self._worker.lock:
            unfinished = self._worker.unfinished()
        own = sum(job.client == client for job in unfinished)
        if own >= MAX_UNFINISHED:
            sentence = f"You have {own} requests that wait already: let one end, or cancel it."
            raise HTTPException(429, sentence)
        if len(unfinished) >= MAX_UNFINISHED_OF_ALL:
            raise HTTPException(503, "Too many requests wait here now: try again in a minute.")

    async def job(self, request: Request) -> Response:
        return JSONResponse(self._shown(self._find(request)))

    async def cancel(self, request: Request) -> Response:
        job = self._find(request)
        self._worker.cancel(job)
        return JSONResponse(self._shown(job))

    async def preview(self, request: Request) -> Response:
        job, place = self._find(request), request.path_params["place"]
        preview = job.images[place].preview if place < len(job.images) else None
        if preview is None:
            raise HTTPException(404, _NO_IMAGE)
        return Response(preview, media_type="image/png")

    async def events(self, request: Request) -> Response:
        ids = request.query_params.get("jobs", "").split(",")[:_MAX_FOLLOWED]
        with self._worker.lock:
            jobs = [job for job in map(self._worker.find, ids) if job is not None]
        if not jobs:
            raise HTTPException(404, _NO_JOB)
        return StreamingResponse(self._stream(jobs), media_type="text/event-stream")

    async def _stream(self, jobs: Sequence[Job]) -> AsyncIterator[str]:
        """Each job when it has changed, until all have ended. Who reads it follows the jobs."""
        sent: dict[str, tuple[int, int]] = {}
        with self._worker.lock:
            for job in jobs:
                job.followers += 1
        try:
            with self._worker.changes.subscribed() as changed:
                while True:
                    changed.clear()
                    have_ended = True
                    for job in jobs:
                        with self._worker.lock:
                            version = job.version, self._worker.ahead_of(job)
                            # Of what is sent: one that ends meanwhile is sent once more.
                            have_ended &= job.has_ended
                        if sent.get(job.id) != version:
                            sent[job.id] = version
                            yield f"data: {json.dumps(self._shown(job))}\n\n"
                    if have_ended:
                        return
                    await asyncio.sleep(_BETWEEN_EVENTS_S)
                    try:
                        await asyncio.wait_for(changed.wait(), _HEARTBEAT_S)
                    except TimeoutError:
                        yield ":\n\n"
        finally:
            with self._worker.lock:
                for job in jobs:
                    job.followers -= 1
                    job.seen = time.monotonic()

    def _find(self, request: Request) -> Job:
        with self._worker.lock:
            job = self._worker.find(request.path_params["id"])
        if job is None:
            raise HTTPException(404, _NO_JOB)
        return job

    def _shown(self, job: Job) -> dict[str, Any]:
        with self._worker.lock:
            return {
                "id": job.id,
                "task": job.task,
                "seed": job.seed,
                "state": job.state,
                "error": job.error,
                "notes": list(job.notes),
                "ahead": self._worker.ahead_of(job),
                "fraction": job.fraction,
                "seconds_left": job.seconds_left,
                "size": job.size,
                "images": [
                    {
                        "id": image.name,
                        "preview": None
                        if image.preview is None
                        else f"/api/jobs/{job.id}/previews/{place}.png?step={image.step}",
                        "provenance": image.provenance,
                        "done": image.is_done,
                    }
                    for place, image in enumerate(job.images)
                ],
            }
