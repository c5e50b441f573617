"""How progress is shown in this process, and what a terminal can show."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import TextIO

MODES = ("auto", "rich", "plain", "json", "quiet")
"""auto: rich on a terminal, plain elsewhere."""

PREVIEWS = ("auto", "kitty", "iterm2", "blocks", "none")
"""auto: what the terminal says of itself; blocks: half blocks of Unicode in 24-bit colour."""

_KITTY_TERMS = ("xterm-kitty", "xterm-ghostty")
_ITERM2_PROGRAMS = ("iTerm.app", "WezTerm", "mintty")
"""Values of TERM_PROGRAM of the terminals that document iTerm2's inline images."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """How progress is shown.

    Attributes:
        mode: one of MODES.
        preview: one of PREVIEWS.
    """

    mode: str
    preview: str


_CHOICE: ContextVar[Choice | None] = ContextVar("glide_jax_progress", default=None)


def current_choice() -> Choice | None:
    """What was chosen; None: nothing, as where no command uses the library."""
    return _CHOICE.get()


@contextlib.contextmanager
def progress_choice(choice: Choice) -> Iterator[None]:
    """Show all progress inside as chosen."""
    token = _CHOICE.set(choice)
    try:
        yield
    finally:
        _CHOICE.reset(token)


def mode_for(
    choice: Choice | None, stream: TextIO, environment: Mapping[str, str] = os.environ
) -> str:
    """`rich`, `plain`, `json` or `quiet`, on this stream."""
    if choice and choice.mode != "auto":
        return choice.mode
    can_move = stream.isatty() and environment.get("TERM", "") not in ("dumb", "unknown")
    return "rich" if can_move else "plain"


def preview_for(
    choice: Choice | None,
    colours: str | None,
    encoding: str,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """`kitty`, `iterm2`, `blocks` or `none`.

    Args:
        choice: what was chosen; anything but `auto` is taken as it is.
        colours: of the terminal, as rich names them; None: it has none.
        encoding: of the stream; without the half block there are no blocks.
        environment: where the terminal says what it is.
    """
    if choice is None:
        return "none"
    if choice.preview != "auto":
        return choice.preview
    program, term = environment.get("TERM_PROGRAM", ""), environment.get("TERM", "")
    # A multiplexer passes no images on, and doesn't say which terminals it is shown in.
    if "TMUX" not in environment and not term.startswith(("screen", "tmux")):
        if term in _KITTY_TERMS or program == "ghostty" or "KITTY_WINDOW_ID" in environment:
            return "kitty"
        if program in _ITERM2_PROGRAMS or environment.get("LC_TERMINAL") == "iTerm2":
            return "iterm2"
    try:
        "▀".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "none"
    return "blocks" if colours in ("256", "truecolor") else "none"
