"""The scores that experiments show, by name."""

from typing import NamedTuple


class Score(NamedTuple):
    """How a score is shown.

    Attributes:
        title: for people.
        percent: whether it is a share, and shown in percent.
        is_binary: whether each row's is 0 or 1, so that its interval is Wilson's.
        lower_is_better: whether less is better.
    """

    title: str
    percent: bool
    is_binary: bool
    lower_is_better: bool

    def shown(self, value: float, digits: int = 1) -> str:
        """`94.5 %`, or a number in four digits."""
        return f"{100 * value:.{digits}f} %" if self.percent else f"{value:.4g}"


SCORES = {
    "prompt_truth": Score("prompt truth", True, True, False),
    "respects": Score("asserted respects that are right", True, False, False),
    "saturated": Score("values at −1 or 1", True, False, True),
    "error": Score("distance to the solution", False, False, True),
    "border": Score("error at the border", False, False, True),
    "kept": Score("surroundings kept", True, True, False),
    "bits_per_dim": Score("bits/dim", False, False, True),
    "gradient_noise": Score("noise of the gradient", False, False, True),
    "found": Score("own caption found", True, True, False),
    "elo": Score("Elo, the scorer as judge", False, False, False),
}
"""Name → how it is shown."""
