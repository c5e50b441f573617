"""What only one of a run's processes does."""

import functools
from collections.abc import Callable
from typing import ParamSpec

import jax

_P = ParamSpec("_P")


def by_first_process(write: Callable[_P, None]) -> Callable[_P, None]:
    """A function that does nothing in any process of a run but the first.

    The processes of a run on several hosts compute the same figures and pictures, and have one
    workdir: one of them writes it. What is computed on the way must be computed outside, in all
    of them, as each waits for the others' part.

    Args:
        write: what to do in the process of index 0.
    """

    @functools.wraps(write)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        if jax.process_index() == 0:
            write(*args, **kwargs)

    return wrapped
