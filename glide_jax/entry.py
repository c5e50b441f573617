"""What the entries share: a mistake is one line and an exit status, never a traceback."""

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from glide_jax.config import OVERRIDE
from glide_jax.errors import Interrupted, NotMet, UserError, one_line

BAD_INPUT = 2
STOPPED = 130
TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_NO_BACKEND = "Unable to initialize backend"


class Parser(argparse.ArgumentParser):
    """argparse, with one-line errors, a_b for a-b in flags, and options between positionals."""

    def error(self, message: str):
        """Raise a UserError instead of argparse's own exit."""
        raise UserError(f"{message}; see --help")

    def parse(self, words: Sequence[str], overrides: Sequence[str] = ()) -> argparse.Namespace:
        """The arguments of a command line.

        Args:
            words: its words, without `--config.KEY=VALUE`.
            overrides: `KEY=VALUE` each; a parser that takes them has a default for `overrides`.

        Raises:
            UserError: a mistake in them.
        """
        if any("\0" in word for word in (*words, *overrides)):
            self.error("an argument has a null character")
        arguments = self.parse_intermixed_args(_with_dashes(words))
        if overrides and "overrides" not in arguments:
            self.error(f"unrecognized arguments: {OVERRIDE}{overrides[0]}")
        if overrides:
            arguments.overrides = tuple(overrides)
        return arguments


def _with_dashes(words: Sequence[str]) -> list[str]:
    """The words, `--num_images=2` as `--num-images=2`; what follows a bare `--` stays."""
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    for i, word in enumerate(words[:end]):
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            words[i] = flag.replace("_", "-") + equals + value
    return words


def _ready_streams() -> None:
    """What is closed leads nowhere; what an encoding has no character for is escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _nowhere())
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _leave_stdout() -> None:
    """Let what can't be written go nowhere; Python would complain again as it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refused(error: UserError, status: int = BAD_INPUT) -> int:
    print(f"error: {error}", file=sys.stderr)
    return status


def status_of(run: Callable[[], None]) -> int:
    """Run a command; the result is the exit status."""
    _ready_streams()
    try:
        run()
    except UserError as error:
        return _refused(error, TRY_AGAIN if isinstance(error, NotMet) else BAD_INPUT)
    except Interrupted as stop:
        print(f"\n{stop}", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # Whoever read the output has stopped reading.
        _leave_stdout()
    except OSError as error:
        if error.filename is None and error.errno in _FULL:
            _leave_stdout()
            return _refused(UserError(f"can't write the output: {error.strerror}; make room"))
        # Whatever the system refuses of a file: a folder that may not be read, too long a name.
        if error.filename is None:
            raise
        reason = error.strerror or one_line(error)
        return _refused(UserError(f"can't use {error.filename!r}: {reason}; give another"))
    except MemoryError as error:
        why = f": {one_line(error)}" if str(error) else ""
        what = f"there is too little memory{why}; end other programs, or ask for less at once"
        return _refused(UserError(what))
    except RuntimeError as error:
        if _NO_BACKEND not in str(error):
            raise
        platforms = os.environ.get("JAX_PLATFORMS")
        what = f"JAX can't start with JAX_PLATFORMS={platforms}: {one_line(error)}"
        return _refused(UserError(what))
    except KeyboardInterrupt:
        print("stopped; what was saved before is complete", file=sys.stderr)
        return STOPPED
    return 0
