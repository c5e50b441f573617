"""Being asked to stop: finish the step, save, say how to go on."""

import signal
from types import FrameType
from typing import Self


class Interrupt:
    """Notes Ctrl-C and SIGTERM while it is entered; a second Ctrl-C stops at once."""

    def __init__(self):
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("\nstopping after this step, then saving; once more to stop at once", flush=True)
