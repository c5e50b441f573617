"""Which shards can't be read now: images of others replace theirs, until they can be read again.

A shard whose reads have failed, retries included, is left alone for a while, longer each time, then
tried once. While one shard of a server fails, others of it get no retries either.
"""

import logging
import time
import urllib.parse
from collections.abc import Callable

from glide_jax.data.filenames import printable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 120.0
"""How long a shard is left alone: doubled from the first to the longest while it fails."""

_log = logging.getLogger(__name__)


class _Outage:
    """Of one shard: since when, how often, how many images were replaced."""

    def __init__(self, now: float):
        self.since, self.until, self.failures, self.replaced = now, now, 0, 0


class Outages:
    """Those of the shards of one source.

    Args:
        count: of its shards.
        clock: the time in seconds.
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic):
        self._count, self._clock = count, clock
        self._of: dict[str, _Outage] = {}

    def is_left_alone(self, shard: str) -> bool:
        """Whether the shard isn't to be tried now; the image that is not read is counted."""
        outage = self._of.get(shard)
        if outage is None or self._clock() >= outage.until:
            return False
        outage.replaced += 1
        return True

    def has_retries(self, shard: str) -> bool:
        """Whether a failed read of the shard is tried again at once."""
        return _server(shard) not in map(_server, self._of)

    def failed(self, shard: str, reason: str) -> None:
        """A shard could not be read."""
        now = self._clock()
        first = shard not in self._of
        outage = self._of.setdefault(shard, _Outage(now))
        pause = min(FIRST_PAUSE_S * 2**outage.failures, LONGEST_PAUSE_S)
        outage.failures, outage.until = outage.failures + 1, now + pause
        outage.replaced += 1
        if first:
            _log.warning(
                "%s; images of other shards replace its own until it can be read again; %d of %d "
                "shards can't be read",
                reason,
                len(self._of),
                self._count,
            )

    def worked(self, shard: str) -> None:
        """A shard was read."""
        if (outage := self._of.pop(shard, None)) is None:
            return
        _log.warning(
            "the shard %s can be read again after %.0f s, in which %d images were replaced; %d of "
            "%d shards can't be read",
            printable(shard),
            self._clock() - outage.since,
            outage.replaced,
            len(self._of),
            self._count,
        )


def _server(shard: str) -> str:
    return "://".join(urllib.parse.urlsplit(shard)[:2])
