"""Changes: from the worker's thread to the streams of an event loop."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class Changes:
    """Wakes whoever waits in an event loop; thread-safe."""

    def __init__(self) -> None:
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._lock = threading.Lock()

    def notify(self) -> None:
        """Something has changed."""
        with self._lock:
            waiting = list(self._waiting)
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server ends
                loop.call_soon_threadsafe(event.set)

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that each change sets."""
        entry = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._waiting.add(entry)
        try:
            yield entry[1]
        finally:
            with self._lock:
                self._waiting.discard(entry)
