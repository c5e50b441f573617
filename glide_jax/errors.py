"""Errors that people read when a command or a run ends early."""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

_FEW = 3
_NOT_PRINTED = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, lone surrogates, line and paragraph separators."""


_MAX_LINE = 3000
"""A line names what was given, which may be a file's contents."""


class UserError(Exception):
    """Something outside the program is wrong: a config, a prompt, a file, a disk.

    The message is one line: what is wrong; what to do. The commands print it after `error: ` and
    exit with status 2, without a traceback. What would end the line, or change a terminal's
    colours, as a file's name may, is escaped; of a line that is longer than anybody reads the
    middle is left out.
    """

    def __str__(self) -> str:
        return "".join(
            c.encode("unicode_escape").decode() if unicodedata.category(c) in _NOT_PRINTED else c
            for c in shortened(super().__str__(), _MAX_LINE)
        )


class NotMet(UserError):
    """Another process of the run didn't come, or has left: the same command may succeed later.

    The commands exit with status 75, by which what starts them knows.
    """


class Interrupted(Exception):
    """A run was asked to stop and has saved its state. The message says how to continue."""


def one_line(error: BaseException) -> str:
    """An exception's message on one line; if it is empty, the exception's type."""
    return " ".join(str(error).split()) or type(error).__name__


def shortened(text: str, length: int) -> str:
    """A text without its middle, where it is longer than `length` characters."""
    if len(text) <= length:
        return text
    return f"{text[: length // 2]} … {text[len(text) - length // 2 :]}"


def a_few(things: Sequence[str], separator: str = ", ") -> str:
    """The first three, and … if there are more."""
    return separator.join([*things[:_FEW], *["…"] * (len(things) > _FEW)])


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that doesn't exist, with the nearest name and all names.

    Args:
        kind: what is called so, such as `sampler`.
        name: the wrong one.
        known: the right ones.
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown {kind} {name!r}:{hint} known: {', '.join(known)}")
