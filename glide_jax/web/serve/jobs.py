"""Jobs: what somebody asked for, how far it is, and whether anybody still waits for it."""

import dataclasses
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from glide_jax.sampling.output import PipelineOutput
from glide_jax.sampling.request import SampleRequest

GRACE_S = 10.0
"""A job that nobody has followed for so long is cancelled: a tab was closed, a program has ended. A
reload, or a connection that comes back, takes less."""

_KEPT_JOBS = 256

_PREVIEW_GRACE_S = 5.0
"""So long a page may still ask for the last preview of a job that has ended."""

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)


@dataclasses.dataclass
class JobImage:
    """One image of a job.

    Attributes:
        preview: a PNG of the model's estimate so far; None: there is none yet, or no more.
        step: of the preview, which makes its address another one.
        name: of the image among those that are kept, once it is done.
        provenance: ready for JSON.
        taken: whether it is, or was, in a batch.
        candidate: what was made, where not all images of the job will be kept.
    """

    preview: bytes | None = None
    step: int = 0
    name: str | None = None
    provenance: dict[str, Any] | None = None
    taken: bool = False
    candidate: PipelineOutput | None = None

    @property
    def is_done(self) -> bool:
        """Whether it was sampled."""
        return self.name is not None or self.candidate is not None


@dataclasses.dataclass(eq=False)
class Job:
    """A request of a client. Its fields change under the worker's lock.

    Attributes:
        client: who asked.
        task, seed: of the request.
        request: None once it has ended, so that its images are free again.
        images: one for each image of the request.
        notes: sentences for the page, such as that the prompt was cut.
        size: pixels a side of the images when they are done.
        later: settings of the stages after the first that samples, (STAGE.SETTING, value) each,
            where they are not their configs'.
        keeps: how many of the images are kept, the best by CLIP; None: all.
        join: puts what was sampled into the image that it is a part of; None: it is none.
        id: nobody can guess it.
        state: QUEUED, RUNNING, or one of ENDED.
        error: one sentence, of a job that has failed.
        fraction: of the running batch, from 0 to 1.
        seconds_left: of the running batch; None: not known yet.
        followers: streams that wait for it.
        seen: when somebody last asked for it.
        ended: when it did.
        version: rises with every change.
    """

    client: str
    task: str
    seed: int
    request: SampleRequest | None
    images: list[JobImage]
    notes: tuple[str, ...]
    size: int
    later: tuple[tuple[str, Any], ...] = ()
    keeps: int | None = None
    join: Callable[[np.ndarray], np.ndarray] | None = None
    id: str = dataclasses.field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = QUEUED
    error: str | None = None
    fraction: float = 0.0
    seconds_left: float | None = None
    followers: int = 0
    seen: float = dataclasses.field(default_factory=time.monotonic)
    ended: float = 0.0
    version: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.state in ENDED

    def is_abandoned(self, now: float) -> bool:
        """Whether nobody waits for it any more."""
        return not self.has_ended and not self.followers and now - self.seen > GRACE_S

    def end(self, state: str, error: str | None = None) -> None:
        """Let it end, and free what is not needed any more."""
        self.state, self.error, self.seconds_left = state, error, None
        self.request = self.join = None
        for image in self.images:
            image.candidate = None
        self.ended = time.monotonic()
        self.version += 1


class Jobs:
    """All jobs by their ids; those that have ended are forgotten, the oldest first."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def add(self, job: Job) -> None:
        """Add a job, and forget some that have ended if there are many."""
        self._jobs[job.id] = job
        ended = [other.id for other in self._jobs.values() if other.has_ended]
        for old in ended[: max(0, len(self._jobs) - _KEPT_JOBS)]:
            del self._jobs[old]

    def find(self, job_id: str) -> Job | None:
        """The job; None: there is none, or none any more."""
        return self._jobs.get(job_id)

    def tidy(self, now: float) -> None:
        """Cancel what nobody waits for any more, and free previews that nobody asks for."""
        for job in self._jobs.values():
            if job.is_abandoned(now):
                job.end(CANCELLED, "Nobody waited for it any more.")
            if job.has_ended and job.ended < now - _PREVIEW_GRACE_S:
                for image in job.images:
                    image.preview = None

    def unfinished(self) -> list[Job]:
        """Those that have not ended, the oldest first."""
        return [job for job in self._jobs.values() if not job.has_ended]
