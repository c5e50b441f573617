"""Being asked to stop: finish the step, save, say how to go on."""

import os
import signal
from types import FrameType
from typing import Self

import jax
from jax.experimental import multihost_utils


class Interrupt:
    """Notes Ctrl-C and SIGTERM while it is entered; a second Ctrl-C stops at once.

    The processes of a run stop after the same step: JAX hears SIGTERM in any of them, and they
    agree on it. Ctrl-C is passed on to it.
    """

    def __init__(self):
        self._asked = False
        self._agreed = False
        self._steps = 0
        self._before: dict[int, object] = {}

    def after_step(self) -> bool:
        """Whether to stop here. Every process calls it after every step."""
        if jax.process_count() == 1:
            return self._asked
        # Once it has said so it is silent, and the step may be a stage's last.
        self._steps += 1
        self._agreed |= multihost_utils.reached_preemption_sync_point(self._steps)
        return self._agreed

    def __enter__(self) -> Self:
        alone = jax.process_count() == 1
        for number in (signal.SIGINT, signal.SIGTERM) if alone else (signal.SIGINT,):
            self._before[number] = signal.signal(number, self._note if alone else self._pass_on)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        print("\nstopping after this step, then saving; once more to stop at once", flush=True)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._note(number, frame)
        os.kill(os.getpid(), signal.SIGTERM)
