"""A terminal that is none of a window: a pty, whose other end the test reads."""

import contextlib
import fcntl
import os
import pty
import struct
import termios
import threading
import time
import tty

import numpy as np

from glide_jax.progress import TaskProgress


class Terminal:
    """A pty of so many columns and rows; `stream` is what a process would write to."""

    def __init__(self, monkeypatch, columns=80, rows=24, **environment):
        for name in ("COLUMNS", "LINES", "NO_COLOR", "TMUX", "KITTY_WINDOW_ID", "LC_TERMINAL"):
            monkeypatch.delenv(name, raising=False)
        values = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "TERM_PROGRAM": ""}
        # rich asks the process's own terminal for its size; here the variables are its answer.
        values |= {"COLUMNS": str(columns), "LINES": str(rows)} | environment
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        self._master, slave = pty.openpty()
        tty.setraw(slave)  # as it is written: no carriage return before a line feed
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._received = bytearray()
        # At once: a pty holds some kilobytes, and who writes more waits.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # the other end is closed
            while more := os.read(self._master, 1 << 16):
                self._received += more

    def text(self):
        """All that was written."""
        end = f"\x1b]end{len(self._received)}\a".encode()
        self.stream.write(end.decode())
        self.stream.flush()
        while not self._received.endswith(end):
            time.sleep(0.001)
        del self._received[-len(end) :]
        return self._received.decode()

    def close(self):
        self.stream.close()
        self._reader.join()
        os.close(self._master)


def task_at(task="64×64", done=1, total=4, image=None, **figures):
    text = f"{task}: step {done}/{total}"
    return TaskProgress(task, done, total, "steps", 2.5, text, figures, image)


def image(height=8, width=8):
    """Another colour in each pixel."""
    steps = np.arange(height * width * 3, dtype=np.int64) * 7 % 256
    return steps.astype(np.uint8).reshape(height, width, 3)
