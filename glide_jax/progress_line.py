"""A line that says how far something is, and how long it will take."""

import shutil
from typing import TextIO


class Line:
    """A progress line: rewritten in place on a terminal, line after line in a file.

    Args:
        stream: where it is written.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._is_open = False

    @property
    def is_rewritten(self) -> bool:
        """Whether the next line overwrites this one."""
        return self._stream.isatty()

    def show(self, line: str) -> None:
        """Write the line, over the last one on a terminal."""
        if not self.is_rewritten:
            print(line, file=self._stream, flush=True)
            return
        # A line that wraps could not be overwritten.
        line = line[: shutil.get_terminal_size().columns - 1]
        print(f"\r{line}\x1b[K", end="", file=self._stream, flush=True)
        self._is_open = True

    def end(self) -> None:
        """End the line, so that other output starts on a new one."""
        if self._is_open:
            print(file=self._stream, flush=True)
            self._is_open = False


def clock_face(seconds: float) -> str:
    """75 → 1:15; 3675 → 1:01:15; days count as hours."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
