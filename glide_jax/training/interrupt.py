"""Stopping a run by a signal: it finishes the step, saves, and says how to continue."""

import os
import signal
import stat
from types import FrameType
from typing import Self

import jax
from jax.experimental import multihost_utils

from glide_jax.progress import say

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, who ends jobs, and a terminal or a connection that is gone."""

_MOST_AHEAD = 64
"""Steps that other processes may have dispatched while this one waits for a batch."""


class Interrupt:
    """Records Ctrl-C, SIGTERM and SIGHUP while it is entered; a second of the former stops at once.

    SIGHUP stays ignored where `nohup` has it so.

    All processes of a run stop after the same step: JAX notices SIGTERM in any one of them and
    they agree on the step. Others are passed on as SIGTERM.
    """

    def __init__(self):
        self._requested = False
        self._agreed = False
        self._steps = 0
        self._before: dict[int, object] = {}

    def is_requested(self) -> bool:
        """Whether the run is to stop after one of the next steps; for a process without data."""
        if jax.process_count() == 1:
            return self._requested
        # The step that was agreed on is known by its number alone: others may be some ahead.
        found = [
            multihost_utils.reached_preemption_sync_point(self._steps + ahead)
            for ahead in range(1, _MOST_AHEAD + 1)
        ]
        # JAX takes the last number it was asked about for the step of this process.
        multihost_utils.reached_preemption_sync_point(self._steps)
        return any(found)

    def after_step(self) -> bool:
        """Whether to stop after this step. Every process must call it after every step."""
        if jax.process_count() == 1:
            return self._requested
        # JAX reports the agreed step only once, and that step may be the last of a stage.
        self._steps += 1
        self._agreed |= multihost_utils.reached_preemption_sync_point(self._steps)
        return self._agreed

    def __enter__(self) -> Self:
        alone = jax.process_count() == 1
        for number in _STOPPING:
            by_nohup = number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN
            if by_nohup or (number == signal.SIGTERM and not alone):
                continue
            self._before[number] = signal.signal(number, self._note if alone else self._pass_on)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _write_to_nobody()
            if self._requested:  # the terminal and its shell send one each
                return
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True
        say("\nstopping after this step, then saving; again to stop at once")

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        is_first = not self._requested
        self._note(number, frame)
        if is_first:
            os.kill(os.getpid(), signal.SIGTERM)


def _write_to_nobody() -> None:
    """Drop what is printed to a terminal that is gone, or to a pipe whose reader is."""
    for descriptor in (1, 2):
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
