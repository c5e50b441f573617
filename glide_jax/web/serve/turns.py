"""Turns: which images the next batch has.

Each client is charged the device's time for its images, and the client that was charged least
comes first (start-time fair queueing, Goyal et al. 1996). Somebody who asks for a hundred images
waits for them; somebody who then asks for one waits for the batch that runs, and comes next. Slots
that are left in a batch go to whatever else may share it, one image of each client after the other.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from glide_jax.web.serve.jobs import Job


class Turn(NamedTuple):
    """One image, the unit of which batches are made."""

    job: Job
    place: int


class Turns:
    """The images that wait. Not thread-safe: the worker has the lock.

    Args:
        key: of a job: jobs with equal keys may share a batch.
    """

    def __init__(self, key: Callable[[Job], Hashable]):
        self._key = key
        self._jobs: list[Job] = []
        self._charged: dict[str, float] = {}

    def add(self, job: Job) -> None:
        """A job that comes in. Who has been away starts level with the least served."""
        if job.client not in self._charged:
            self._charged[job.client] = min(self._charged.values(), default=0.0)
        self._jobs.append(job)

    def charge(self, client: str, seconds: float) -> None:
        """Count a client's use of the device; it matters while the client waits for more."""
        if client in self._charged:
            self._charged[client] += seconds

    def next_batch(self, size: int) -> list[Turn]:
        """At most `size` images that may share a batch; [] if none wait."""
        self._jobs = [job for job in self._jobs if not job.has_ended and _waiting(job)]
        here = {job.client for job in self._jobs}
        self._charged = {client: s for client, s in self._charged.items() if client in here}
        if not self._jobs:
            return []
        first = min(self._jobs, key=lambda job: self._charged[job.client])
        key = self._key(first)
        alike = [job for job in self._jobs if self._key(job) == key]
        taken: list[Turn] = []
        while len(taken) < size:
            round_ = self._one_of_each(alike)
            if not round_:
                break
            taken += round_[: size - len(taken)]
            for turn in taken:
                turn.job.images[turn.place].taken = True
        return taken

    def ahead_of(self, job: Job) -> int:
        """About how many images come before the job's next one."""
        own, is_before = 0, True
        others: Counter[str] = Counter()
        for other in self._jobs:
            if other is job:
                is_before = False
            elif other.client != job.client:
                others[other.client] += len(_waiting(other))
            elif is_before:
                own += len(_waiting(other))
        return own + sum(min(count, own + 1) for count in others.values())

    def _one_of_each(self, alike: Sequence[Job]) -> list[Turn]:
        """The next image of each client, the least served first."""
        found: dict[str, Turn] = {}
        for job in alike:
            waiting = _waiting(job)
            if waiting and job.client not in found:
                found[job.client] = Turn(job, waiting[0])
        return sorted(found.values(), key=lambda turn: self._charged[turn.job.client])


def _waiting(job: Job) -> list[int]:
    return [place for place, image in enumerate(job.images) if not image.taken]
