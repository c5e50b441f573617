"""Progress on a terminal: a bar for each task, and below them what the newest one's image is."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from glide_jax.progress.choice import Choice, preview_for
from glide_jax.progress.preview import Preview
from glide_jax.progress.task_progress import TaskProgress

_MIN_INTERVAL_S = 0.1
"""Between two times that the bars are written; what ends a task is written at once."""

_BAR_WIDTH = 24
_MIN_WIDTH = 70
"""Of a terminal that has room for bars, in columns."""


class Bars:
    """A `Display` on a terminal.

    Tasks that are done keep their line. What others print meanwhile appears above the bars.

    Args:
        stream: of the terminal.
        choice: whether there are previews, and how.
        clock: the time in seconds.
    """

    shows_all = True

    def __init__(
        self, stream: TextIO, choice: Choice | None, clock: Callable[[], float] = time.monotonic
    ):
        self._console = Console(file=stream, force_terminal=True, highlight=False)
        self._kind = preview_for(choice, self._console.color_system, self._console.encoding)
        self.shows_images = self._kind != "none"
        self._preview = Preview(self._kind)
        self._clock, self._written_at = clock, -1.0
        self._tasks: dict[str, TaskProgress] = {}
        self._live: Live | None = None

    def show(self, progress: TaskProgress) -> None:
        """Show it in the task's line."""
        is_new = progress.task not in self._tasks
        self._tasks[progress.task] = progress
        if progress.image is not None:
            self._preview.image = progress.image
        elif is_new:
            self._preview.image = None
        if self._live is None:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                # Never what goes to a file or into a pipe.
                redirect_stdout=sys.stdout.isatty(),
                redirect_stderr=sys.stderr.isatty(),
                vertical_overflow="crop",
                get_renderable=lambda: self,
            )
            self._live.start()
        now = self._clock()
        if is_new or progress.done == progress.total or now - self._written_at >= _MIN_INTERVAL_S:
            self._live.refresh()
            self._written_at = now

    def end(self) -> None:
        """Leave the lines, as they are now."""
        if self._live is not None:
            # It writes them once more.
            self._live.stop()
            self._live = None
        self._tasks.clear()
        self._preview = Preview(self._kind)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # What isn't the last can't all be seen in a low terminal.
        rows = list(self._tasks.values())[-max(1, options.size.height // 2) :]
        yield _bars(rows) if options.max_width >= _MIN_WIDTH else _lines(rows)
        # A line of the terminal stays free: a full screen scrolls, and can't be written over.
        yield from self._preview.rendered(options.max_width, options.size.height - len(rows) - 2)


def _bars(tasks: Sequence[TaskProgress]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for progress in tasks:
        bar = ProgressBar(total=progress.total, completed=progress.done, width=_BAR_WIDTH)
        table.add_row(Text(progress.task, style="bold"), bar, Text(progress.detail))
    return table


def _lines(tasks: Sequence[TaskProgress]) -> Text:
    text = "\n".join(progress.text for progress in tasks)
    return Text(text, no_wrap=True, overflow="ellipsis")
