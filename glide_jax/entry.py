"""What the commands have in common: a mistake is one line and an exit status, never a traceback."""

import argparse
import os
import sys
from collections.abc import Callable

from glide_jax.errors import Interrupted, UserError

BAD_INPUT = 2
STOPPED = 130


class Parser(argparse.ArgumentParser):
    """argparse, its complaints in one line like all others."""

    def error(self, message: str):
        """Raise a UserError in the place of argparse's own exit."""
        raise UserError(f"{message}; see --help")


def status_of(run: Callable[[], None]) -> int:
    """Run a command; the result is the exit status."""
    try:
        run()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except Interrupted as stop:
        print(f"\n{stop}", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # Who read the output wants no more of it. Python would say so again as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("stopped; what was saved before is whole", file=sys.stderr)
        return STOPPED
    return 0
