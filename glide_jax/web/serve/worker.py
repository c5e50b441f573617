"""The one thread that owns the device: it samples batch after batch, of whoever's turn it is."""

import dataclasses
import logging
import threading
import time
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from glide_jax.data.images import encode_png, to_uint8
from glide_jax.errors import UserError
from glide_jax.evaluation.settings import with_settings
from glide_jax.sampling.output import PipelineOutput, encoded_png
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.request import SampleRequest
from glide_jax.sampling.run import OnProgress, SamplingProgress, steps_of
from glide_jax.sampling.sharing import Row, sharing_key
from glide_jax.web.serve.changes import Changes
from glide_jax.web.serve.jobs import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Job, JobImage, Jobs
from glide_jax.web.serve.kept_images import KeptImage, KeptImages
from glide_jax.web.serve.pace import Pace, Watch
from glide_jax.web.serve.turns import Turn, Turns

_LOG = logging.getLogger(__name__)

_PREVIEW_S = 0.1
_MAX_PREVIEW = 256
_IDLE_S = 1.0
_STOP_S = 20.0

Later = tuple[tuple[str, Any], ...]
"""See `Job.later`."""


class _Stopped(Exception):
    """Nobody waits for this batch any more."""


class Worker:
    """Samples the jobs that are submitted.

    Args:
        pipeline: what samples.
        batch_size: of every batch, whoever shares it, so that nothing compiles again, and no image
            depends on who else waits.

    Attributes:
        lock: whoever reads or changes a job has it.
        images: the results.
        changes: wakes those who follow a job.
    """

    def __init__(self, pipeline: Pipeline, batch_size: int):
        self.lock = threading.Condition(threading.RLock())
        self.images = KeptImages()
        self.changes = Changes()
        self._pipeline, self._batch_size = pipeline, batch_size
        self._jobs, self._turns, self._pace = Jobs(), Turns(_key_of), Pace()
        self._stops = False
        self._thread = threading.Thread(target=self._run, name="sampling", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def warm_up(self, row: Row, on_progress: OnProgress) -> None:
        """Sample an image for nobody: what it needs is compiled then. Before `start`."""
        watch = self._watch(row.request, ())

        def noted(progress: SamplingProgress) -> None:
            watch.advance(progress.stage, progress.step, time.monotonic())
            on_progress(progress)

        self._pipeline.sample_rows([row], batch_size=self._batch_size, on_progress=noted)

    def stop(self) -> None:
        """End at the next chunk of steps; a program that compiles can't be interrupted."""
        with self.lock:
            self._stops = True
            self.lock.notify_all()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def submit(self, job: Job) -> None:
        """Queue a job."""
        with self.lock:
            self._jobs.add(job)
            self._turns.add(job)
            self.lock.notify_all()

    def find(self, job_id: str) -> Job | None:
        """A job; somebody has asked for it. With the lock."""
        job = self._jobs.find(job_id)
        if job is not None:
            job.seen = time.monotonic()
        return job

    def cancel(self, job: Job) -> None:
        """Let a job end at the next chunk of steps; images that are done stay."""
        with self.lock:
            if not job.has_ended:
                job.end(CANCELLED)
        self.changes.notify()

    def unfinished(self) -> list[Job]:
        """The jobs that have not ended. With the lock."""
        return self._jobs.unfinished()

    def ahead_of(self, job: Job) -> int:
        """About how many images come first. With the lock."""
        return self._turns.ahead_of(job) if job.state == QUEUED else 0

    def _run(self) -> None:
        while True:
            with self.lock:
                self._jobs.tidy(time.monotonic())
                turns = self._turns.next_batch(self._batch_size)
                rows = [Row(_request_of(turn.job), turn.place) for turn in turns]
                if not turns and not self._stops:
                    self.lock.wait(_IDLE_S)
                if self._stops:
                    return
            if turns:
                self._sample(turns, rows)

    def _sample(self, turns: Sequence[Turn], rows: Sequence[Row]) -> None:
        """Sample a batch. What fails is said of its jobs alone; the worker goes on."""
        with self.lock:
            jobs = list({id(turn.job): turn.job for turn in turns}.values())
            for job in jobs:
                if not job.has_ended:
                    job.state, job.fraction, job.seconds_left = RUNNING, 0.0, None
                    job.version += 1
        self.changes.notify()
        start = time.monotonic()
        try:
            outputs = self._sampled(turns, rows)
            made = [
                _made(turn.job, output) if turn.job.keeps is None else None
                for turn, output in zip(turns, outputs, strict=True)
            ]
            with self.lock:
                for turn, output, one in zip(turns, outputs, made, strict=True):
                    self._keep(turn, output, one)
            for job in jobs:
                self._choose(job)
        except _Stopped:
            pass
        except Exception as error:
            if len(jobs) == 1:
                self._fail(jobs[0], error)
                return
            for job in jobs:  # the others may be able to
                own = [i for i, turn in enumerate(turns) if turn.job is job]
                self._sample([turns[i] for i in own], [rows[i] for i in own])
        finally:
            self._charge(turns, time.monotonic() - start)
            self.changes.notify()

    def _sampled(self, turns: Sequence[Turn], rows: Sequence[Row]) -> list[PipelineOutput]:
        pipeline = self._pipeline_of(turns[0].job.later)
        watch, shown = self._watch(rows[0].request, turns[0].job.later), 0.0

        def on_progress(progress: SamplingProgress) -> None:
            nonlocal shown
            now = time.monotonic()
            watch.advance(progress.stage, progress.step, now)
            with self.lock:
                self._jobs.tidy(now)
                live = [i for i, turn in enumerate(turns) if not turn.job.has_ended]
                if self._stops or not live:
                    raise _Stopped
                for i in live:
                    turns[i].job.fraction = watch.fraction
                    turns[i].job.seconds_left = watch.seconds_left
            if now - shown >= _PREVIEW_S or progress.step == progress.num_steps:
                shown = now
                self._show(turns, live, progress)
                self.changes.notify()

        return pipeline.sample_rows(
            rows,
            batch_size=self._batch_size,
            on_progress=on_progress,
            progress_every=watch.every,
        )

    def _pipeline_of(self, later: Later) -> Pipeline:
        return with_settings(self._pipeline, dict(later)) if later else self._pipeline

    def _watch(self, request: SampleRequest, later: Later) -> Watch:
        pipeline = self._pipeline_of(later)
        steps, stages = steps_of(request, pipeline.stages), pipeline.stages[request.first_stage :]
        names = [(stage.name, count) for stage, count in zip(stages, steps, strict=True)]
        return self._pace.watch((sharing_key(request), later), names)

    def _show(self, turns: Sequence[Turn], live: Sequence[int], progress: SamplingProgress) -> None:
        if progress.num_batches > 1:
            return  # a later stage whose config has smaller batches: which rows these are differs
        previews = [_preview(progress.x_0_hat[i]) for i in live]
        with self.lock:
            for i, preview in zip(live, previews, strict=True):
                job, place = turns[i]
                if not job.has_ended:
                    job.images[place].preview = preview
                    job.images[place].step += 1
                    job.version += 1

    def _keep(self, turn: Turn, output: PipelineOutput, made: KeptImage | None) -> None:
        job = turn.job
        if job.has_ended:
            return
        image = job.images[turn.place]
        if made is None:  # which ones are kept is known when all are sampled
            image.candidate = output
        else:
            self._name(image, output, made)
        job.version += 1
        if all(other.name for other in job.images):
            job.end(DONE)
        elif not any(other.taken and not other.is_done for other in job.images):
            job.state = QUEUED

    def _name(self, image: JobImage, output: PipelineOutput, made: KeptImage) -> None:
        image.name = self.images.add(made)
        image.provenance = dataclasses.asdict(output.provenance[0])

    def _choose(self, job: Job) -> None:
        """Of a job's images, once all are sampled, keep the best by CLIP, the best first."""
        with self.lock:
            images = [image for image in job.images if image.candidate is not None]
            if job.keeps is None or job.has_ended or len(images) < len(job.images):
                return
            outputs = [image.candidate for image in images if image.candidate is not None]
        assert self._pipeline.clip is not None  # rerank is offered with one alone
        prompts = [output.provenance[0].prompt for output in outputs]
        first = np.concatenate([output.stages[0] for output in outputs])
        scores = self._pipeline.clip.score(prompts, first)
        best = np.argsort(-scores, kind="stable")[: job.keeps].tolist()
        made = [_made(job, outputs[i]) for i in best]
        with self.lock:
            if job.has_ended:
                return
            for i, one in zip(best, made, strict=True):
                self._name(images[i], outputs[i], one)
            job.images = [images[i] for i in best]
            job.end(DONE)

    def _fail(self, job: Job, error: Exception) -> None:
        if isinstance(error, UserError):
            sentence = str(error)
        else:
            _LOG.error("a request failed", exc_info=error)
            sentence = "Something went wrong while sampling; the server's log says what."
        with self.lock:
            if not job.has_ended:
                job.end(FAILED, sentence)

    def _charge(self, turns: Sequence[Turn], seconds: float) -> None:
        with self.lock:
            for turn in turns:
                self._turns.charge(turn.job.client, seconds / len(turns))


def _request_of(job: Job) -> SampleRequest:
    assert job.request is not None
    return job.request


def _key_of(job: Job) -> Hashable:
    return sharing_key(_request_of(job)), job.later


def _made(job: Job, output: PipelineOutput) -> KeptImage:
    """The file of an image, joined with what it is a part of."""
    pixels, join = output.arrays[0], job.join
    if join is not None:
        pixels = join(pixels)
        if (pixels[..., 3] == 255).all():
            pixels = pixels[..., :3]
    height, width = pixels.shape[:2]
    return KeptImage(job.client, encoded_png(pixels, output.provenance[0]), width, height)


def _preview(x_0_hat: np.ndarray) -> bytes:
    pixels = to_uint8(x_0_hat)
    if len(pixels) > _MAX_PREVIEW:
        image = Image.fromarray(pixels).resize((_MAX_PREVIEW, _MAX_PREVIEW), Image.Resampling.BOX)
        pixels = np.asarray(image)
    return encode_png(pixels)
