"""How far a task is, shown as was chosen: a bar, a line of text, a JSON object, or nothing."""

import contextlib
import json
import math
import sys
import time
from collections.abc import Iterator
from typing import Protocol, TextIO

from glide_jax.progress.choice import current_choice, mode_for
from glide_jax.progress.task_progress import TaskProgress


class Display(Protocol):
    """What shows how far tasks are.

    Attributes:
        shows_all: whether it shows every progress; if not, only what ends a part is worth showing.
        shows_images: whether it shows images.
    """

    shows_all: bool
    shows_images: bool

    def show(self, progress: TaskProgress) -> None:
        """Show how far a task is."""
        ...

    def end(self) -> None:
        """Leave what was shown, so that other output starts on a new line."""
        ...


class Line:
    """Where it is shown how far tasks are. A context manager: what follows has its own line.

    Args:
        stream: where it is written.
    """

    def __init__(self, stream: TextIO):
        self._display = _display_on(stream)
        self.shows_all = self._display.shows_all
        self.shows_images = self._display.shows_images

    def show(self, progress: TaskProgress) -> None:
        """Show how far a task is, in place of what was shown of it where that is possible."""
        with _hindering_nothing():
            self._display.show(progress)

    def end(self) -> None:
        """End what was shown, so that other output starts on a new line."""
        with _hindering_nothing():
            self._display.end()

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()


def say(text: str, stream: TextIO | None = None) -> None:
    """Print what is worth knowing and no result: as JSON or not at all, if so chosen.

    Args:
        text: lines.
        stream: None: standard output.
    """
    out = sys.stdout if stream is None else stream
    mode = mode_for(current_choice(), out)
    with _hindering_nothing():
        if mode == "json":
            _print_json(out, event="message", text=text.strip())
        elif mode != "quiet":
            print(text, file=out, flush=True)


@contextlib.contextmanager
def _hindering_nothing() -> Iterator[None]:
    """What can't be shown, on a full disk or a terminal that is gone, ends no training.

    Whoever stops reading a pipe does end what writes to it.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        pass


def _display_on(stream: TextIO) -> Display:
    choice = current_choice()
    mode = mode_for(choice, stream)
    if mode == "rich":
        # Not where it isn't used: rich takes a tenth of a second.
        from glide_jax.progress.bars import Bars

        return Bars(stream, choice)
    return {"plain": _Plain, "json": _Json, "quiet": _Quiet}[mode](stream)


class _Plain:
    """A line of text each."""

    shows_all = shows_images = False

    def __init__(self, stream: TextIO):
        self._stream = stream

    def show(self, progress: TaskProgress) -> None:
        print(progress.text, file=self._stream, flush=True)

    def end(self) -> None:
        pass


class _Json:
    """A JSON object in a line each; its keys are documented in docs/progress.md."""

    shows_all, shows_images = True, False

    def __init__(self, stream: TextIO):
        self._stream = stream

    def show(self, progress: TaskProgress) -> None:
        counts = {"done": progress.done, "total": progress.total, "unit": progress.unit}
        left_s = None if progress.left_s is None else round(progress.left_s, 3)
        # JSON has no NaN.
        figures = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in progress.figures.items()
        }
        left = {"left_s": left_s, "figures": figures}
        _print_json(self._stream, event="progress", task=progress.task, **counts, **left)

    def end(self) -> None:
        pass


class _Quiet:
    """Nothing."""

    shows_all = shows_images = False

    def __init__(self, stream: TextIO):
        pass

    def show(self, progress: TaskProgress) -> None:
        pass

    def end(self) -> None:
        pass


def _print_json(stream: TextIO, *, event: str, **rest: object) -> None:
    line = {"event": event, "time": round(time.time(), 3), **rest}
    print(json.dumps(line, allow_nan=False), file=stream, flush=True)
