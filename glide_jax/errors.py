"""What people are meant to read when a run ends early."""

import difflib
from collections.abc import Iterable, Sequence

_FEW = 3


class UserError(Exception):
    """Something outside the program is wrong: a config, a prompt, a file, a disk.

    The message is one line: what is wrong, then what to do. The command-line entries print it
    after `error: ` and exit with 2; no traceback.
    """


class Interrupted(Exception):
    """A run was asked to stop, and has saved what it did. The message says how to go on."""


def one_line(error: BaseException) -> str:
    """What an exception says, on one line; where it says nothing, its type."""
    return " ".join(str(error).split()) or type(error).__name__


def a_few(things: Sequence[str], joint: str = ", ") -> str:
    """The first three, and … where there are more."""
    return joint.join([*things[:_FEW], *["…"] * (len(things) > _FEW)])


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Build the error for a name that nobody has: the nearest one, and the list."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return UserError(f"unknown {kind} {name!r}:{hint} known: {', '.join(known)}")
