"""The next batch, waited for in a way that a run can be stopped where none comes."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

GRACE_S = 5.0
"""Whoever asks the run to stop waits so long for a batch, and no longer."""

_POLL_S = 0.2


class Fetcher:
    """Takes batches from an iterator in a thread of its own. A context manager.

    Args:
        batches: endless.
        stops: whether the run was asked to stop.
    """

    def __init__(self, batches: Iterator[Any], stops: Callable[[], bool]):
        self._batches, self._stops = batches, stops
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        # A daemon: what it waits for may never come.
        threading.Thread(target=self._fetch, daemon=True).start()

    def next(self) -> Any:
        """The next batch; None: there is none yet, and the run was asked to stop.

        Raises:
            Exception: what the iterator raises.
        """
        self._asked.put(True)
        ends: float | None = None
        while True:
            try:
                batch, error = self._answers.get(timeout=_POLL_S)
            except queue.Empty:
                if self._stops() and ends is None:
                    ends = time.monotonic() + GRACE_S
                if ends is not None and time.monotonic() > ends:
                    return None
                continue
            if error is not None:
                raise error
            return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._asked.put(False)

    def _fetch(self) -> None:
        while self._asked.get():
            try:
                answer = next(self._batches), None
            except BaseException as error:
                answer = None, error
            self._answers.put(answer)
